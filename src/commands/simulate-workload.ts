// The workload of each run: read once for all runs that share it, with the rate, seed and limits of the run.
import { inputError } from '../diagnostics.ts';
import type { Io } from '../io.ts';
import { loadPresets } from '../load/presets.ts';
import { type LoadedWorkload, parseWorkloadRef, type WorkloadOptions } from '../load/traces/reference.ts';
import type { WorkloadEcho } from '../plan/simulate-output.ts';
import type { SimulationOptions } from '../spec/simulation-options.ts';
import { rateText } from '../spec/simulation-values.ts';

export interface RunWorkload extends LoadedWorkload {
  echo: WorkloadEcho;
}

/** Runs with the same options get the same workload, read once. */
export class Workloads {
  private readonly known = new Map<string, Promise<RunWorkload>>();

  constructor(
    private readonly ref: string | undefined,
    private readonly io: Io,
  ) {}

  of(options: SimulationOptions, { timeless }: Pick<WorkloadOptions, 'timeless'> = {}): Promise<RunWorkload> {
    const { ref } = this;
    if (ref === undefined) throw noWorkload();
    const { seed, rate, concurrency, limit, durationSeconds, repeat, samples, beamWidth, thinkSeconds, workloadModel } =
      options;
    const shaped = {
      seed,
      rate,
      concurrency,
      limit,
      durationSeconds,
      repeat,
      samples,
      beamWidth,
      thinkSeconds,
      timeless,
    };
    const given = { ...definedOnly(shaped), ...(workloadModel === undefined ? {} : { model: workloadModel }) };
    const key = JSON.stringify(given);
    let loaded = this.known.get(key);
    if (!loaded) {
      loaded = parseWorkloadRef(ref, given, { env: this.io.env }).then((workload) => withEcho(workload, ref, options));
      this.known.set(key, loaded);
    }
    return loaded;
  }
}

function withEcho(loaded: LoadedWorkload, ref: string, { rate }: SimulationOptions): RunWorkload {
  const { description } = loaded;
  const echo: WorkloadEcho = {
    ref,
    name: description.title,
    format: description.format,
    requests: description.requests,
    promptTokens: description.promptTokens,
    outputTokens: description.outputTokens,
    maxPromptTokens: description.maxPromptTokens,
    maxOutputTokens: description.maxOutputTokens,
    spanSeconds: description.spanSeconds,
    concurrency: description.concurrency,
    rate: rate ? rateText(rate) : null,
    requestsPerSecond: description.rate,
    rows: description.rows,
    rejectedRows: description.rejected,
  };
  return { ...loaded, echo };
}

function noWorkload(): Error {
  const presets = loadPresets('workloads').map(({ id }) => id);
  return inputError('VRAM660', 'no workload is given', {
    hint: `add --workload with a trace file, "poisson:rate=2,input=512,output=128" or a preset: ${presets.join(', ')}`,
    path: '--workload',
  });
}

function definedOnly<Value extends object>(value: Value): { [Key in keyof Value]?: NonNullable<Value[Key]> } {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as {
    [Key in keyof Value]?: NonNullable<Value[Key]>;
  };
}
