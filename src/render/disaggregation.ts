// The two pools of --disaggregate for a person: what each does, what is sent between them, and whether it is worth it beside the same GPUs
// with every server doing both. It formats and computes nothing.
import { smallGib, thousands } from '../numbers.ts';
import type { DisaggregationPlan, PoolPlan, ServingFigures } from '../plan/disaggregate/types.ts';
import { grid } from './grid.ts';
import { paintFor } from './paint.ts';
import type { TableStyle } from './table.ts';
import { brokenCommand, visible, wrap } from './text.ts';

export function disaggregationText(plan: DisaggregationPlan, style: TableStyle): string {
  const paint = paintFor(style.colour);
  const width = Math.min(style.columns, 80);
  const { promptTokens, outputTokens, requestsPerSecond, connector } = plan;
  const title = `${paint.bold('Prefill and decode apart')} (estimate), ${visible(connector)}`;
  const load = `${thousands(promptTokens)} prompt and ${thousands(outputTokens)} output tokens, ${rate(requestsPerSecond)} requests/s`;
  const verdict = `${plan.pays ? paint.good('PAYS') : paint.warn('DOES NOT PAY')}  ${visible(plan.because)}`;
  return `${[
    `${title}\n${wrap(load, width)}`,
    poolTable(plan),
    wrap(transferText(plan), width),
    figuresTable(plan),
    wrap(verdict, width),
    wrap(balanceText(plan), width),
    paint.dim(
      wrap(
        `assumed: ${plan.assumptions.map(visible).join('; ')}; +-${Math.round(100 * plan.uncertaintyShare)} %`,
        width,
      ),
    ),
    `One server of each; further ones on ports and GPUs (CUDA_VISIBLE_DEVICES) of\ntheir own\n${[plan.prefill, plan.decode].map(({ command }) => brokenCommand(command.split(/ (?=--[a-z])/), width)).join('\n\n')}`,
  ].join('\n\n')}\n`;
}

function poolTable({ prefill, decode }: DisaggregationPlan): string {
  const row = (name: string, pool: PoolPlan): string[] => [
    name,
    `${pool.servers} x ${pool.gpusPerServer} ${visible(pool.gpu)}`,
    thousands(pool.kvTokens),
    thousands(pool.sequences),
    rate(pool.requestsPerSecond),
    `${Math.round(100 * pool.utilization)} %`,
  ];
  return grid(
    ['pool', 'servers', 'KV tokens', 'seqs', 'requests/s', 'used'],
    ['left', 'left', 'right', 'right', 'right', 'right'],
    [row('prefill', prefill), row('decode', decode)],
  );
}

function transferText({ transfer }: DisaggregationPlan): string {
  const { bytesPerPrompt, link, bytesPerSecond, seconds: time, source } = transfer;
  const name = { nvlink: 'NVLink', pcie: 'PCIe', network: 'the network' }[link];
  return `KV cache of a prompt: ${smallGib(bytesPerPrompt)}, ${seconds(time)} over ${name} at ${(bytesPerSecond / 1e9).toFixed(1)} GB/s (${visible(source)})`;
}

function figuresTable({ disaggregated, aggregated }: DisaggregationPlan): string {
  const row = (name: string, { requestsPerSecond, ttftSeconds, tpotSeconds }: ServingFigures): string[] => [
    name,
    seconds(ttftSeconds),
    seconds(tpotSeconds),
    rate(requestsPerSecond),
  ];
  return grid(
    ['', 'TTFT', 'TPOT', 'at most requests/s'],
    ['left', 'right', 'right', 'right'],
    [row('apart', disaggregated), row('every server both', aggregated)],
  );
}

function balanceText({ balance, prefill, decode }: DisaggregationPlan): string {
  const ratio = `${rate(balance.ratio)} prefill servers for one that decodes`;
  if (balance.prefill === prefill.servers && balance.decode === decode.servers) return `In balance: ${ratio}.`;
  return `In balance: ${ratio}; prefill=${balance.prefill},decode=${balance.decode} does ${rate(balance.requestsPerSecond)} requests/s.`;
}

function seconds(value: number | null): string {
  if (value === null) return '-';
  if (value < 1e-3) return `${(1e6 * value).toFixed(0)} us`;
  return value < 1 ? `${(1e3 * value).toPrecision(3)} ms` : `${value.toPrecision(3)} s`;
}

function rate(value: number): string {
  return value >= 100 ? thousands(Math.round(value)) : value.toPrecision(2);
}
