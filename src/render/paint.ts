// Colours by meaning, and nothing when colour is off. chalk decides nothing here: the caller knows the stream.
import { Chalk } from 'chalk';
import type { ItemId } from '../plan/types.ts';
import type { SharesResult } from '../sim/result.ts';

export type ShareId = keyof SharesResult;

export interface Paint {
  bold(text: string): string;
  dim(text: string): string;
  good(text: string): string;
  bad(text: string): string;
  warn(text: string): string;
  item(id: ItemId, text: string): string;
  share(id: ShareId, text: string): string;
}

export function paintFor(colour: boolean): Paint {
  const chalk = new Chalk({ level: colour ? 1 : 0 });
  const items: Record<ItemId, (text: string) => string> = {
    weights: chalk.blue,
    'kv-cache': chalk.green,
    state: chalk.cyan,
    'compute-buffer': chalk.yellow,
    'output-buffer': chalk.magenta,
    projector: chalk.cyan,
    draft: chalk.red,
    other: chalk.gray,
    lora: chalk.cyan,
    activations: chalk.yellow,
    graphs: chalk.magenta,
    'non-torch': chalk.red,
    communication: chalk.red,
    context: chalk.gray,
    buffers: chalk.cyan,
    free: chalk.gray,
  };
  const shares: Record<ShareId, (text: string) => string> = {
    tokenStates: chalk.green,
    reserved: chalk.yellow,
    internalFragmentation: chalk.magenta,
    externalFragmentation: chalk.red,
    free: chalk.gray,
  };
  return {
    bold: chalk.bold,
    dim: chalk.dim,
    good: chalk.green.bold,
    bad: chalk.red.bold,
    warn: chalk.yellow,
    item: (id, text) => items[id](text),
    share: (id, text) => shares[id](text),
  };
}
