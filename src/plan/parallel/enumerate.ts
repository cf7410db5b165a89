// Every layout of tensor, pipeline, data, expert and decode-context parallelism over at most so many GPUs. Which of them an engine
// takes is the engine's to say; here only sizes that multiply to more GPUs than there are, or that change nothing, are left out.
import type { Layout } from './types.ts';

export interface LayoutSpace {
  gpus: number;
  /** No stage without a layer. */
  layers: number;
  /** Routed experts, which may be dealt out whole. */
  experts: boolean;
  /** What the release has. */
  dataParallel: boolean;
  expertParallel: boolean;
  contextParallel: boolean;
  /** Sizes that the user gave. */
  fixed: Partial<Layout>;
}

export function enumerateLayouts(space: LayoutSpace): Layout[] {
  const { gpus, layers, experts, dataParallel, expertParallel, fixed } = space;
  const layouts: Layout[] = [];
  for (const tp of sizes(gpus, fixed.tensorParallelSize)) {
    for (const pp of sizes(Math.min(Math.floor(gpus / tp), layers), fixed.pipelineParallelSize)) {
      const replicas = dataParallel ? Math.floor(gpus / (tp * pp)) : 1;
      for (const dp of sizes(replicas, fixed.dataParallelSize)) {
        const choice = experts && expertParallel && tp * dp > 1 ? [false, true] : [false];
        const ep = fixed.enableExpertParallel === undefined ? choice : [fixed.enableExpertParallel];
        for (const enableExpertParallel of ep) {
          for (const dcp of contextSizes(tp, space)) {
            layouts.push({
              tensorParallelSize: tp,
              pipelineParallelSize: pp,
              dataParallelSize: dp,
              decodeContextParallelSize: dcp,
              enableExpertParallel,
            });
          }
        }
      }
    }
  }
  return layouts.filter(
    ({ tensorParallelSize, pipelineParallelSize, dataParallelSize }) =>
      tensorParallelSize * pipelineParallelSize * dataParallelSize <= gpus,
  );
}

/** tp4 pp2 dp2 ep dcp2; single for one GPU. */
export function layoutName(layout: Layout): string {
  const parts = [
    ['tp', layout.tensorParallelSize],
    ['pp', layout.pipelineParallelSize],
    ['dp', layout.dataParallelSize],
    ['dcp', layout.decodeContextParallelSize],
  ] as const;
  const words = parts.filter(([, size]) => size > 1).map(([name, size]) => `${name}${size}`);
  if (layout.enableExpertParallel) words.push('ep');
  return words.length > 0 ? words.join(' ') : 'one GPU';
}

function sizes(most: number, fixed: number | undefined): number[] {
  if (fixed !== undefined) return [fixed];
  return Array.from({ length: most }, (_, i) => i + 1);
}

/** Ranks of one tensor-parallel group share a sequence: their number divides the group. */
function contextSizes(tp: number, { contextParallel, fixed }: LayoutSpace): number[] {
  if (fixed.decodeContextParallelSize !== undefined) return [fixed.decodeContextParallelSize];
  if (!contextParallel) return [1];
  return sizes(tp, undefined).filter((size) => tp % size === 0);
}
