// What each scenario recommends by default runs: `vram plan` says that it fits, and `vram simulate` serves the scenario's load at the
// concurrency that it states without refusing a request and with less than one preemption in twenty. Goes through examples/recommend.sh,
// as a user would. For many tenants the advice itself is put to the test: the same server with other ways to batch.
import { chmodSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { program, put, scratch, shell, vram } from './run.ts';

const root = dirname(dirname(fileURLToPath(new URL('.', import.meta.url))));

beforeAll(() => {
  put('bin/vram', `#!/bin/sh\nexec "$NODE" '${program}' "$@"\n`);
  chmodSync(join(scratch, 'bin/vram'), 0o755);
});

/** What comes out by default, as the README tells it. */
const scenarios = [
  { id: 'low-latency', best: /^8x h[12]00-sxm, w8a8, tp 8, vllm@/, holds: false },
  { id: 'throughput', best: /^1x (?:l40s|h100-sxm), w8a8, vllm@/, holds: false },
  { id: 'single-consumer-gpu', best: /^1x rtx\d090, q4_k_m, llama\.cpp@/, holds: true },
  { id: 'long-context', best: /^1x h100-sxm, fp8-dynamic, fp8 cache, vllm@/, holds: false },
  { id: 'multi-tenant', best: /^1x h100-sxm, fp8-dynamic, vllm@/, holds: true },
];

describe.concurrent('scenarios by default', () => {
  it('are all here', () => {
    const files = readdirSync(join(root, 'presets/scenarios')).map((file) => file.replace('.yaml', ''));
    expect(files.sort()).toEqual(scenarios.map(({ id }) => id).sort());
  });

  it.each(scenarios)('$id: its first deployment fits and serves its load', async ({ id, best, holds }) => {
    const env = { PATH: `${join(scratch, 'bin')}:${process.env.PATH}` };
    const ran = await shell(`examples/recommend.sh ${id}`, { cwd: root, env });
    expect({ code: ran.code, err: ran.err }).toMatchObject({ code: 0 });
    const [head, advice, plan, simulate] = ran.out.trim().split('\n');
    expect(head).toMatch(new RegExp(`^${id}: \\S+ on `));
    expect(head!.replace(/^.* on /, '')).toMatch(best);
    expect(advice).toMatch(holds ? /: as the usual table says$/ : /: not here$/);
    const [, room, asked] = /^ {2}plan: fits, room for (\d+), asked for (\d+)$/.exec(plan!)!.map(Number);
    expect(room).toBeGreaterThanOrEqual(asked!);
    const figures = /^ {2}simulate: (\d+) of (\d+) served, (\d+) refused, (\d+) preempted, \d+ tokens\/s$/.exec(
      simulate!,
    );
    const [, served, total, refused, preempted] = figures!.map(Number);
    expect({ served, refused }).toEqual({ served: total, refused: 0 });
    expect(total).toBeGreaterThanOrEqual(Math.max(20, 4 * asked!));
    expect(preempted! * 20).toBeLessThan(total!);
  });
});

interface Answer {
  result: {
    scenario: {
      deployments: { simulate: string; row: { speed: { outputTokensPerSecond: number; uncertaintyShare: number } } }[];
    };
  };
}

interface Runs {
  result: {
    runs: {
      policy: string;
      requests: { total: number; finished: number; rejected: number };
      preemptions: { recompute: number };
      throughput: { requestsPerSecond: number; outputTokensPerSecond: number };
    }[];
  };
}

describe('many tenants', () => {
  it('are served faster by paging and continuous batching than by slots or whole batches', async () => {
    const ran = await vram(['compare', '--for', 'multi-tenant', '-m', 'llama-3.1-8b', '-g', 'h100-sxm', '--json']);
    const [best] = (JSON.parse(ran.out) as Answer).result.scenario.deployments;
    // The scenario's means, with lengths that differ up to the longest that it allows.
    const spread = 'input: lognormal(1536, 0.8)\noutput: lognormal(512, 0.8)\nmaxContext: 16384\n';
    const load = put('tenants.yaml', `arrivals: constant\nrate: 1000000\nrequests: 384\n${spread}`);
    const line = `${best!.simulate.replace('vram', '$VRAM')} --workload ${load}`;
    const simulated = await shell(`${line} --no-advice --policy paged,slots,static-batching --json`);
    const { runs } = (JSON.parse(simulated.out) as Runs).result;
    const [paged, slots, batches] = ['paged', 'slots', 'static-batching'].map((name) =>
      runs.find(({ policy }) => policy === name),
    );
    expect(paged!.requests).toMatchObject({ finished: 384, rejected: 0 });
    expect(paged!.preemptions.recompute * 20).toBeLessThan(384);
    const rate = paged!.throughput.requestsPerSecond;
    expect(rate).toBeGreaterThan(1.2 * slots!.throughput.requestsPerSecond);
    expect(rate).toBeGreaterThan(4 * batches!.throughput.requestsPerSecond);
    // Two ways to one figure: averages of the estimate, and steps of the simulator over lengths that differ.
    const { outputTokensPerSecond, uncertaintyShare } = best!.row.speed;
    const ratio = paged!.throughput.outputTokensPerSecond / outputTokensPerSecond;
    expect(Math.abs(Math.log(ratio))).toBeLessThan(Math.log(1 / (1 - uncertaintyShare)));
  });
});
