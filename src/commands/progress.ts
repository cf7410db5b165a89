// A spinner on standard error while something takes long (the network, a sweep); loaded only then.
import ora from 'ora';

/** Shows `text` on `stream` until the returned function is called; nothing of it stays on the screen. */
export function progress(text: string, stream: NodeJS.WriteStream): () => void {
  const spinner = ora({ text, stream, discardStdin: false }).start();
  return () => void spinner.stop();
}
