// A spinner on standard error while something takes long (the network, a sweep); loaded only then.
import ora from 'ora';
import type { Progress } from '../io.ts';

/** Shows `text` on `stream` until the returned function is called; nothing of it stays on the screen. */
export function progress(text: string, stream: NodeJS.WriteStream): Progress {
  const spinner = ora({ text, stream, discardStdin: false }).start();
  return Object.assign(() => void spinner.stop(), {
    /** Drawn at once: who calls may leave no time for the spinner's own. */
    update(next: string) {
      spinner.text = next;
      spinner.render();
    },
  });
}
