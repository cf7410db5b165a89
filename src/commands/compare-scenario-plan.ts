// A recommended row planned on its own, the way `vram plan` goes: its command and flags, and the command lines that plan and simulate
// this very deployment again.
import { assert } from '../assert.ts';
import type { Io } from '../io.ts';
import { type Cells, cellOf } from '../plan/compare/cells.ts';
import type { ScenarioDeployment } from '../plan/compare/scenario-output.ts';
import { shellQuote } from '../shell.ts';
import { Evaluator } from './compare-evaluate.ts';
import type { CompareLine, CompareSetup } from './compare-line.ts';
import type { GpuEntry } from './compare-lists.ts';
import type { CompareAsked } from './compare-request.ts';
import { type PlanArguments, planArguments } from './plan-request.ts';

type Planned = Pick<ScenarioDeployment, 'fits' | 'command' | 'flags' | 'plan' | 'simulate'>;

export async function deploymentOf(cells: Cells, { setup, lines }: CompareAsked, io: Io): Promise<Planned> {
  const entry = setup.gpus.find(({ label }) => label === cellOf(cells, 'gpu'));
  assert(entry !== undefined, 'a row has a GPU that was asked for');
  const line = await lineOf(cells, entry, { setup, lines }, io);
  const args = planWords(line, entry, Number(cellOf(cells, 'gpus')), setup);
  const planned = await planArguments(args, io);
  assert(planned.kind === 'plan', 'a deployment names its GPUs');
  const { verdict, workload, command, flags } = planned.output.result;
  return {
    fits: verdict.fits && workload?.fits !== false,
    command,
    flags,
    ...commandLines(args, line, command),
  };
}

/** Which line made this row: of those with its model, engine and layout, the one that makes it again. */
async function lineOf(
  cells: Cells,
  entry: GpuEntry,
  { setup, lines }: Pick<CompareAsked, 'setup' | 'lines'>,
  io: Io,
): Promise<CompareLine> {
  const id = cellOf(cells, 'id');
  const like = lines.filter(
    ({ engine, tp, pp, dp }) =>
      engine.label === cellOf(cells, 'engine') &&
      (engine.id === 'vllm'
        ? [tp, pp, dp].join() === ['tp', 'pp', 'dp'].map((name) => cellOf(cells, `parallel.${name}`)).join()
        : entry.count !== null || tp * pp === cellOf(cells, 'gpus')),
  );
  // A word may be another name of the row's model or scheme: those that are the same come first.
  const named = ({ model, quantization }: CompareLine): number =>
    2 * Number(model === cellOf(cells, 'model')) + Number(quantization === cellOf(cells, 'quantization'));
  for (const line of like.sort((a, b) => named(b) - named(a))) {
    let same = false;
    await new Evaluator({ ...setup, gpus: [entry] }, io).line(line, (other) => {
      same ||= cellOf(other, 'id') === id;
    });
    if (same) return line;
  }
  throw new Error(`no line makes ${id}`);
}

function planWords(line: CompareLine, entry: GpuEntry, gpus: number, { args }: CompareSetup): PlanArguments {
  const { model, engine, quantization, kvCacheDtype, tp, pp, dp, context, concurrency } = line;
  const { gpu: _, ...rest } = args;
  const label = entry.label.replaceAll('+', ',');
  const layout = engine.id === 'vllm' ? { tensorParallelSize: tp, pipelineParallelSize: pp, dataParallelSize: dp } : {};
  return {
    ...rest,
    model,
    gpu: entry.count === null && gpus > 1 ? `${gpus}x ${label}` : label,
    engine: engine.ref,
    given: {
      ...args.given,
      ...Object.fromEntries(Object.entries(layout).filter(([, size]) => size > 1)),
      ...(quantization === undefined ? {} : { quantization }),
      ...(kvCacheDtype === undefined ? {} : { kvCacheDtype }),
    },
    ...(context === undefined ? {} : { context }),
    ...(concurrency === undefined ? {} : { concurrency }),
  };
}

/** The engine's own line carries every flag; what is not in it stands before. */
function commandLines(
  { model, gpu, given, context, concurrency, engine }: PlanArguments,
  line: CompareLine,
  command: string,
): Pick<Planned, 'plan' | 'simulate'> {
  const shared = ['--model', model!, '--gpu', gpu!, ...(engine === 'vllm' ? [] : ['--engine', engine!])];
  const scheme = given.quantization === undefined ? [] : ['--quantization', given.quantization];
  const load = ['--context', String(context), '--concurrency', String(concurrency)];
  const words = (list: readonly string[]): string => list.map(shellQuote).join(' ');
  const lines = command.replace(/^(?:#.*\n)+/, '');
  return {
    plan: `vram plan ${words([...shared, ...scheme, ...load])} --from-command ${shellQuote(lines)}`,
    simulate:
      line.engine.id === 'vllm'
        ? `vram simulate ${words([...shared, ...scheme, '--concurrency', String(concurrency)])} --from-command ${shellQuote(lines)}`
        : null,
  };
}
