// The recommended deployment as commands: vLLM's line from the plan that `vram plan` makes of it, llama-server's from the options that the
// row was planned with.
import type { Diagnostic } from '../diagnostics.ts';
import { emitLlamaFlags, llamaCommand } from '../engines/llamacpp/emit.ts';
import type { Io } from '../io.ts';
import { loadPresets } from '../load/presets.ts';
import { type LlamaSide, llamaOptions } from '../plan/quantize/llama-rows.ts';
import type { Choice } from '../plan/quantize/recommend.ts';
import type { RowsInput } from '../plan/quantize/rows.ts';
import type { Recommendation } from '../plan/quantize/types.ts';
import type { PlanRequest } from '../plan/request.ts';
import { shellQuote } from '../shell.ts';
import type { EngineOptions } from '../spec/options.ts';
import { completeRequest, resolveArguments } from './plan-request.ts';
import type { QuantizeArguments } from './quantize-request.ts';

export interface RecommendedInput {
  args: QuantizeArguments;
  given: Partial<EngineOptions>;
  chosen: Choice;
  input: RowsInput;
  request: PlanRequest;
  llama: LlamaSide | undefined;
  io: Io;
  diagnostics: Diagnostic[];
}

export async function recommendationOf(asked: RecommendedInput): Promise<Recommendation> {
  const { row, reason, change, alternatives } = asked.chosen;
  const { command, flags } = row.engine === 'vllm' ? await vllmLine(asked) : llamaLine(asked);
  return {
    scheme: row.scheme,
    engine: row.engine!,
    reason,
    change,
    command,
    flags,
    plan: planLine(asked),
    alternatives: alternatives.map((other) => ({
      scheme: other.row.scheme,
      engine: other.row.engine!,
      reason: other.reason,
    })),
  };
}

/** What has to be said of the scheme: nothing of a published form, the dtype where it is not the model's own. */
function schemeOptions({ chosen, input, request }: RecommendedInput): Partial<EngineOptions> {
  const { row } = chosen;
  if (row.published) return {};
  const scheme = input.schemes.find(({ id }) => id === row.scheme)!;
  if (scheme.format !== 'none') return { quantization: scheme.id };
  const own = request.spec.config.dtype ?? 'bfloat16';
  return {
    ...(request.spec.quantization || request.scheme ? { quantization: 'none' } : {}),
    ...(scheme.dtype && scheme.dtype !== own ? { dtype: scheme.dtype } : {}),
  };
}

function vllmOptions(asked: RecommendedInput): Partial<EngineOptions> {
  const { given, request } = asked;
  const { tensorParallelSize, pipelineParallelSize, maxModelLen } = request.options;
  return {
    ...given,
    ...schemeOptions(asked),
    ...(tensorParallelSize > 1 ? { tensorParallelSize } : {}),
    ...(pipelineParallelSize > 1 ? { pipelineParallelSize } : {}),
    maxModelLen,
  };
}

async function vllmLine(asked: RecommendedInput): Promise<Pick<Recommendation, 'command' | 'flags'>> {
  const { args, request, io, diagnostics } = asked;
  const { context, concurrency } = request;
  const engine = `vllm@${request.version}`;
  const resolved = await resolveArguments({ ...args, engine, context, concurrency, given: vllmOptions(asked) }, io);
  const output = completeRequest(resolved, resolved.devices!, false);
  diagnostics.push(...output.diagnostics.filter(({ code }) => code === 'VRAM417'));
  return { command: output.result.command, flags: output.result.flags };
}

function llamaLine({ chosen, request, llama }: RecommendedInput): Pick<Recommendation, 'command' | 'flags'> {
  const { spec } = request;
  const { build, version } = llama!.request;
  const { flags } = emitLlamaFlags({
    options: llamaOptions(llama!),
    because: {
      ctxSize: 'all slots together',
      parallel: 'sequences at once',
      gpuLayers: 'all of the model on the GPUs',
    },
    table: loadPresets('llamacpp-flags'),
    build,
    buildName: version,
  });
  const scheme = chosen.row.scheme.replace(/^gguf-/, '').toUpperCase();
  const model = `./${(spec.hfId ?? spec.id).replace(/^.*\//, '')}-${scheme}.gguf`;
  return { command: llamaCommand({ model, flags }), flags };
}

/** The same through `vram plan`, to look into it. */
function planLine(asked: RecommendedInput): string {
  const { args, chosen, request, llama } = asked;
  const { row } = chosen;
  const words = ['vram', 'plan', '--model', args.model ?? request.spec.id, '--gpu', args.gpu!];
  if (row.engine === 'llama.cpp') {
    const cache = llama!.request.options.cacheTypeK;
    words.push('--engine', `llama.cpp@${llama!.request.version}`, '-q', row.scheme.replace(/^gguf-/, ''));
    if (cache) words.push('--cache-type-k', cache, '--cache-type-v', cache);
  } else {
    const { quantization, dtype, tensorParallelSize, pipelineParallelSize, maxModelLen, kvCacheDtype } =
      vllmOptions(asked);
    words.push('--engine', `vllm@${request.version}`);
    if (quantization) words.push('-q', quantization);
    if (dtype) words.push('--dtype', dtype);
    if (kvCacheDtype) words.push('--kv-cache-dtype', kvCacheDtype);
    if (tensorParallelSize) words.push('--tp', String(tensorParallelSize));
    if (pipelineParallelSize) words.push('--pp', String(pipelineParallelSize));
    words.push('--max-model-len', String(maxModelLen));
  }
  words.push('--context', String(request.context), '--concurrency', String(request.concurrency));
  return words.map(shellQuote).join(' ');
}
