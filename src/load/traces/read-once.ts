// Reads a trace once for all runs that want it: the last file, and standard input, which cannot be read again.
import { statSync } from 'node:fs';
import { inputError } from '../../diagnostics.ts';
import { absolute } from '../context.ts';
import { readTrace, type Trace, type TraceOptions } from './read.ts';
import type { TraceContext } from './source.ts';

interface Read {
  key: string;
  trace: Promise<Trace>;
}

/** What was read last from a file, and from standard input: runs that differ in their rate share it. */
let lastFile: Read | undefined;
let fromStdin: Read | undefined;

export function readOnce(ref: string, given: TraceOptions, context: TraceContext): Promise<Trace> {
  if (context.stdin || context.stdinChunks) return readTrace(ref, context, given);
  if (ref === '-') {
    const key = JSON.stringify(given);
    fromStdin ??= { key, trace: readTrace(ref, context, given) };
    if (fromStdin.key !== key) throw readTwice(given.option);
    return fromStdin.trace;
  }
  const path = absolute(ref, context);
  const state = statSync(path, { throwIfNoEntry: false });
  const key = JSON.stringify([path, state?.mtimeMs, state?.size, given]);
  if (lastFile?.key !== key) lastFile = { key, trace: readTrace(ref, context, given) };
  return lastFile.trace;
}

function readTwice(option = '--workload'): Error {
  return inputError('VRAM617', 'standard input can be read only once, and these runs read it differently', {
    hint: 'save it to a file',
    path: option,
  });
}
