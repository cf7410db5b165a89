// A spinner on standard error while something takes long (the network, a sweep); loaded only then.
import ora from 'ora';

/** Shows `text` until the returned function is called; nothing of it stays on the screen. */
export function progress(text: string): () => void {
  const spinner = ora({ text, stream: process.stderr, discardStdin: false }).start();
  return () => void spinner.stop();
}
