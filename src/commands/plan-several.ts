// What `vram plan` says of several GPUs or servers together, for vLLM: ways to use unequal GPUs, prefill and decode on servers of their
// own; and how fast it is likely to be under the load asked for. A bundle of its own, loaded when asked for; planning is handed in, so that nothing is worked out twice.
import { inputError } from '../diagnostics.ts';
import type { VllmPlanned } from '../engines/vllm/plan.ts';
import { disaggregate } from '../plan/disaggregate/index.ts';
import { option, parseDisaggregate } from '../plan/disaggregate/parse.ts';
import type { PlanOutput } from '../plan/output.ts';
import type { PlanRequest } from '../plan/request.ts';
import { estimateSpeed } from '../plan/speed/index.ts';
import { loadShape } from '../plan/speed/shape.ts';
import { tensorParallelNote, unequalWay } from '../plan/unequal/vllm.ts';
import { shellQuote } from '../shell.ts';

export { disaggregationText } from '../render/disaggregation.ts';

export interface SeveralInput {
  output: PlanOutput;
  request: PlanRequest;
  /** GPUs that were named. */
  count: number;
  plan(request: PlanRequest): VllmPlanned;
  /** The command for a changed request. */
  commandOf(request: PlanRequest): string;
}

/** A suggestion that uses all of unequal GPUs, and what tensor parallelism leaves unused on them. */
export function tellUnequal({ output, request, plan, commandOf }: SeveralInput): void {
  const input = { request, planned: plan(request), plan };
  output.diagnostics.push(...tensorParallelNote(input));
  const way = unequalWay(input);
  if (way) output.result.suggestions.unshift({ ...way.suggestion, command: commandOf(way.request) });
}

/** Where a load is asked for and holds: how fast it is likely to be served. */
export function tellSpeed({ output, request, plan }: Pick<SeveralInput, 'output' | 'request' | 'plan'>): void {
  const planned = plan(request);
  const shape = loadShape(request, planned.plan.kvCache.maxModelLen);
  const speed = estimateSpeed({ planned, request, shape });
  if (!speed) return;
  const { decode, prefill, runningSequences, assumptions } = speed;
  const { promptTokens, outputTokens } = shape;
  output.result.speed = {
    decode,
    prefill,
    sequences: runningSequences,
    context: Math.round(promptTokens + outputTokens / 2),
    promptTokens,
    assumptions,
  };
}

/** Throws InputError (VRAM179). */
export function tellDisaggregation(text: string, { output, request, count, plan, commandOf }: SeveralInput): void {
  const asked = parseDisaggregate(text);
  const connector = connectorOf(request);
  // Its servers take the GPUs that the plan of one server leaves.
  output.diagnostics = output.diagnostics.filter(({ code }) => code !== 'VRAM535');
  output.result.disaggregation = disaggregate({
    asked,
    request,
    count,
    plan,
    connector: connector.name,
    commandOf: (of, pool) => withTransfer(commandOf(of), connector, pool),
  });
}

/** How this release moves KV caches; presets/engines/vllm/disaggregation.yaml. */
interface Connector {
  name: string;
  /** both: every server is producer and consumer; split: each is one of them. */
  role: 'both' | 'split';
  /** Variable with a port of its own for each server. */
  port?: string;
}

function connectorOf({ profile, version }: PlanRequest): Connector {
  const connector = (profile as { 'disaggregation.connector'?: Connector })['disaggregation.connector'];
  if (connector) return connector;
  throw inputError('VRAM179', `${option}: vLLM ${version} has no connector for KV caches`, { path: option });
}

const roles = ['kv_producer', 'kv_consumer'] as const;
const ports = [8100, 8200] as const;
const sidePorts = [5600, 5601] as const;

function withTransfer(command: string, { name, role, port }: Connector, pool: 0 | 1): string {
  const config = {
    kv_connector: name,
    kv_role: role === 'both' ? 'kv_both' : roles[pool],
    ...(role === 'both' ? {} : { kv_rank: pool, kv_parallel_size: 2 }),
  };
  const variable = port ? `${port}=${sidePorts[pool]} ` : '';
  return `${variable}${command} --port ${ports[pool]} --kv-transfer-config ${shellQuote(JSON.stringify(config))}`;
}
