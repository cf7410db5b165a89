// Runs a scheduler case of ground-truth/vllm-v0-scheduler.json and sums up what that file states, with the laws checked at each step.
import { crc32 } from 'node:zlib';
import type { SimRequest } from '../../../src/sim/types.ts';
import { resolveV0Config, type V0Config } from '../../../src/sim/v0/config.ts';
import { checkV0 } from '../../../src/sim/v0/invariants.ts';
import { V0System } from '../../../src/sim/v0/system.ts';

export interface V0Case {
  id: string;
  release: string;
  rules: Partial<V0Config>;
  config: V0Config;
  requests: {
    arrival: number;
    prompt: number[];
    output: number;
    outputBase: number;
    priority?: number;
    samples?: number;
  }[];
  expect: Record<string, number>;
}

export function replay({ requests: given, config, rules }: V0Case): Record<string, number> {
  const requests: SimRequest[] = given.map(({ output, ...request }, i) => ({
    ...request,
    id: String(i),
    promptTokens: tokensOf(request.prompt),
    outputTokens: output,
    maxTokens: output,
  }));
  const first = requests.map(() => -1);
  const finish = requests.map(() => -1);
  const sums = { steps: 0, tokens: 0, preempted: 0, ignored: 0, usedSum: 0, crc: 0 };
  let time = 0;
  const system = new V0System({ requests }, resolveV0Config({ ...config, swapKeepsSharing: false, ...rules }), {
    firstToken: (i) => (first[i] = time),
    finished: (i) => (finish[i] = time),
    rejected: () => sums.ignored++,
    preempted: () => sums.preempted++,
  });
  let next = 0;
  for (; next < requests.length || system.unfinished > 0; ) {
    while (next < requests.length && requests[next]!.arrival <= time) system.add(next++);
    if (system.unfinished === 0) time++;
    else if (system.schedule()) {
      checkV0(system);
      sums.steps++;
      sums.usedSum += system.blocks.gpu.held;
      for (const group of system.scheduler.scheduled) sums.tokens += group.chunk * group.sequences.length;
      sums.crc = crc32(`${stateLine(system, time)}\n`, sums.crc);
      system.complete();
      checkV0(system);
      time++;
    }
  }
  const total = (values: number[]) => values.reduce((a, b) => a + b, 0);
  return {
    ...sums,
    copies: system.blocks.copies,
    swapped: system.counters.swappedBlocks,
    firstSum: total(first),
    finishSum: total(finish),
  };
}

function stateLine(system: V0System, time: number): string {
  const { scheduler, blocks } = system;
  const scheduled = scheduler.scheduled.map((group) => `${group.index}:${group.chunk}`).join(',');
  const tables = [...scheduler.running]
    .map((group) => group.sequences.map((s) => s.table.join('.')).join('/'))
    .join(';');
  return `${time}|${scheduled}|${blocks.gpu.free}|${blocks.cpu.free}|${tables}`;
}

function tokensOf(runs: readonly number[]): number {
  let tokens = 0;
  for (let i = 0; i < runs.length; i += 2) tokens += runs[i + 1]! - runs[i]!;
  return tokens;
}
