// Ways out when a llama.cpp plan does not fit, from the least to the most costly; each is planned before it is shown, and what does
// not fit either is not suggested.
import { type LlamaPlanned, planLlama } from '../engines/llamacpp/plan.ts';
import type { LlamaRequest } from '../engines/llamacpp/request.ts';
import { smallGib, thousands } from '../numbers.ts';
import type { LlamaOptions } from '../spec/llama-options.ts';
import type { FlagSuggestion, Suggestion } from './types.ts';

interface Candidate {
  change: string;
  options: LlamaOptions;
  flags: FlagSuggestion[];
}

const flag = (name: string, value: string | null, because: string): FlagSuggestion => ({ flag: name, value, because });

export function suggestLlama(request: LlamaRequest, { plan, load, options }: LlamaPlanned): Suggestion[] {
  if (load.refusal !== undefined) return [];
  const fixed: LlamaOptions = {
    ...options,
    ctxSize: load.context.nCtx,
    gpuLayers: load.placement.gpuLayers,
    fit: false,
  };
  const found: Suggestion[] = [];
  for (const { change, options: changed, flags } of candidates(fixed, plan.offload, load)) {
    const tried = planLlama({ ...request, options: changed });
    if (!tried.plan.verdict.fits || tried.plan.workload?.fits === false) continue;
    const { tokens } = tried.plan.kvCache;
    found.push({
      change,
      effect: `then ${thousands(tokens)} tokens, ${tried.load.placement.gpuLayers} layers on the GPU; ${smallGib(tried.plan.verdict.headroomBytes)} to spare`,
      flags,
    });
  }
  return found;
}

function* candidates(
  fixed: LlamaOptions,
  offload: LlamaPlanned['plan']['offload'],
  { context }: LlamaPlanned['load'],
): Iterable<Candidate> {
  if (!context.flashAttn && context.transposedV) {
    yield {
      change: 'flash attention (-fa on)',
      options: { ...fixed, flashAttn: 'on' },
      flags: [flag('-fa', 'on', 'no scores in memory')],
    };
  }
  if (context.flashAttn && context.typeK === 'f16' && context.typeV === 'f16') {
    yield {
      change: 'an 8-bit KV cache (-ctk q8_0 -ctv q8_0)',
      options: { ...fixed, cacheTypeK: 'q8_0', cacheTypeV: 'q8_0' },
      flags: [flag('-ctk', 'q8_0', 'half the cache'), flag('-ctv', 'q8_0', 'half the cache')],
    };
  }
  if (offload?.largestContext && offload.largestContext < context.nCtx) {
    const size = String(offload.largestContext);
    yield {
      change: `a shorter context (-c ${size})`,
      options: { ...fixed, ctxSize: offload.largestContext },
      flags: [flag('-c', size, 'the longest that fits')],
    };
  }
  if (context.nUbatch > 128) {
    yield {
      change: 'a smaller physical batch (-ub 128)',
      options: { ...fixed, ubatch: 128 },
      flags: [flag('-ub', '128', 'smaller compute buffers')],
    };
  }
  if (offload?.leastCpuMoeLayers) {
    const blocks = offload.leastCpuMoeLayers;
    yield {
      change: `the experts of ${blocks} blocks on the CPU (--n-cpu-moe ${blocks})`,
      options: { ...fixed, gpuLayers: 'all', cpuMoeLayers: blocks },
      flags: [
        flag('-ngl', '99', 'everything else on the GPU'),
        flag('--n-cpu-moe', String(blocks), 'the fewest that fit'),
      ],
    };
  }
  if (offload?.mostGpuLayers) {
    const layers = offload.mostGpuLayers;
    yield {
      change: `${layers} of ${offload.layers} layers on the GPU (-ngl ${layers})`,
      options: { ...fixed, gpuLayers: layers },
      flags: [flag('-ngl', String(layers), 'as many as fit')],
    };
  }
}
