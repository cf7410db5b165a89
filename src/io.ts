// What a command may see of the outside: streams, environment, arguments. cli.ts makes the real one from `process`; tests
// make one from arrays. Nothing else touches `process`.
export interface Io {
  out(text: string): void;
  err(text: string): void;
  /** Until standard output takes more: for answers that are written as they come. */
  drained?(): Promise<void>;
  /** Calls `act` before the program is ended from outside (Ctrl-C); the result takes it back. */
  interrupted?(act: () => void): () => void;
  env: Readonly<Record<string, string | undefined>>;
  /** Width of the terminal, 80 when there is none. */
  columns: number;
  /** Whether colour may be written to standard output / standard error. */
  colour: boolean;
  errColour: boolean;
  errIsTerminal: boolean;
  cwd: string;
  /** Shows that something takes long, on a terminal; call the result when it is over. */
  progress?(text: string): Promise<Progress>;
}

/** Ends the display of something that takes long; `update` changes its words meanwhile. */
export interface Progress {
  (): void;
  update?(text: string): void;
}

/** Nobody listens: for work in threads and scripts, whose answer is a value. */
export function quietIo(env: Io['env'] = {}): Io {
  const nothing = (): void => undefined;
  return {
    out: nothing,
    err: nothing,
    env,
    columns: 80,
    colour: false,
    errColour: false,
    errIsTerminal: false,
    cwd: '',
  };
}
