// The tests read the compiled presets and the script of the comparison's page, as the program does.
import { execFileSync } from 'node:child_process';

export default function setup(): void {
  for (const script of ['build-presets', 'build-client']) {
    execFileSync(process.execPath, ['--import', 'tsx', `scripts/${script}.ts`], { stdio: 'inherit' });
  }
}
