// `--disaggregate prefill=2,decode=6,prompt=8k,output=512,rate=4`, or `auto` for the split that balances. Every part but the two numbers
// of servers may be left out.
import { inputError } from '../../diagnostics.ts';
import { parseCount } from '../../spec/count.ts';
import type { DisaggregateAsked } from './types.ts';

export const option = '--disaggregate';
const mostServers = 1024;

/** Throws InputError (VRAM179, and VRAM141 for numbers). */
export function parseDisaggregate(text: string): DisaggregateAsked {
  const asked: DisaggregateAsked = {};
  const servers: { prefill?: number; decode?: number } = {};
  for (const part of text.split(',')) {
    const [name, value, ...more] = part.split('=').map((word) => word.trim());
    if (name === 'auto' && value === undefined) continue;
    if (value === undefined || more.length > 0) throw bad(part);
    if (name === 'prefill' || name === 'decode') servers[name] = parseCount(value, option, { max: mostServers });
    else if (name === 'prompt') asked.promptTokens = parseCount(value, option);
    else if (name === 'output') asked.outputTokens = parseCount(value, option);
    else if (name === 'rate') asked.requestsPerSecond = rate(value);
    else throw bad(part);
  }
  const { prefill, decode } = servers;
  if ((prefill === undefined) !== (decode === undefined)) throw bad(text);
  return prefill === undefined ? asked : { ...asked, servers: { prefill, decode: decode! } };
}

function rate(text: string): number {
  const match = /^(\d+(?:\.\d+)?|\.\d+)(?:\/s)?$/.exec(text);
  const value = match ? Number(match[1]) : Number.NaN;
  if (!(value > 0 && value <= 1e9)) throw bad(`rate=${text}`);
  return value;
}

function bad(part: string): Error {
  return inputError('VRAM179', `${option} cannot be read: ${JSON.stringify(part.slice(0, 100))}`, {
    hint: 'write prefill=2,decode=6 or auto, and as you like prompt=8192,output=512,rate=4',
    path: option,
  });
}
