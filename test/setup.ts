// The tests read the compiled presets, as the program does.
import { execFileSync } from 'node:child_process';

export default function setup(): void {
  execFileSync(process.execPath, ['--import', 'tsx', 'scripts/build-presets.ts'], { stdio: 'inherit' });
}
