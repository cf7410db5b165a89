// The options of one model of a pool file: names as the engine spells them, looked up in the tables of the engine's and the simulator's
// options, each value read as on the command line. What a pool decides itself is refused with what does it here.
import { InputError, inputError } from '../diagnostics.ts';
import { nearestNames, printable } from '../load/names.ts';
import { engineOptionTable, longNames, negatable } from '../spec/engine-options.ts';
import type { Json } from '../spec/model.ts';
import type { EngineOptions } from '../spec/options.ts';
import type { PoolModel } from '../spec/pool.ts';
import { type SimulationOptions, simulationOptionTable } from '../spec/simulation-options.ts';

interface ModelOptions {
  given: Partial<EngineOptions>;
  simulation: SimulationOptions;
}

/** What a pool decides: by option, what says it instead. */
const decided: Readonly<Record<string, string>> = {
  'kv-cache-memory-bytes': 'minMemory and maxMemory of the model bound its KV cache',
  'num-gpu-blocks-override': 'minMemory and maxMemory of the model bound its KV cache',
  'num-gpu-blocks': 'minMemory and maxMemory of the model bound its KV cache',
  'kv-group': 'the groups are those of the model',
  seed: 'seed of its workload',
  'data-parallel-size': 'list the model once for each replica, with devices of its own',
  dp: 'list the model once for each replica, with devices of its own',
};

/** Throws InputError VRAM731 with the place of the option. */
export function modelOptions({ options, quantization, adapters }: PoolModel, place: string): ModelOptions {
  const read: ModelOptions = { given: quantization === undefined ? {} : { quantization }, simulation: {} };
  for (const [name, value] of Object.entries(options)) readOption(read, name, value, `${place}.options.${name}`);
  if (adapters > 0) {
    read.given.enableLora = true;
    read.given.maxLoras ??= adapters;
  }
  return read;
}

function readOption({ given, simulation }: ModelOptions, name: string, value: Json, place: string): void {
  const instead = Object.hasOwn(decided, name) ? decided[name] : undefined;
  if (instead !== undefined)
    throw inputError('VRAM731', `${name} is not for a model of a pool`, { hint: instead, path: place });
  const positive = name.replace(/^no-/, '');
  const isNo = positive !== name && !known().includes(`--${name}`);
  const option = `--${isNo ? positive : name}`;
  const engine = engineOptionTable.find(
    (entry) => longNames(entry).includes(option) && (!isNo || negatable.includes(entry.key)),
  );
  const own = simulationOptionTable.find(
    (entry) => entry.group !== 'Workload' && longNames(entry).includes(option) && (!isNo || entry.negatable),
  );
  const entry = engine ?? own;
  if (!entry) throw unknown(name, place);
  const raw = isNo ? String(value === false) : textOf(value);
  const result = inPlace(place, () => entry.read(raw, option));
  Object.assign(engine ? given : simulation, { [entry.key]: result });
}

function textOf(value: Json): string {
  if (Array.isArray(value)) return value.join(',');
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value);
}

function unknown(name: string, place: string): Error {
  const isWorkload = simulationOptionTable.some(
    (entry) => entry.group === 'Workload' && longNames(entry).includes(`--${name}`),
  );
  const near = nearestNames(
    name,
    known().map((long) => long.slice(2)),
    1,
  )[0];
  return inputError(
    'VRAM731',
    `there is no option ${JSON.stringify(printable(name))} that is planned or simulated with`,
    {
      hint: isWorkload
        ? 'it belongs into the workload of the model'
        : near
          ? `did you mean ${near}?`
          : 'options are written as vllm serve has them, without dashes (vram plan --help)',
      path: place,
    },
  );
}

function known(): string[] {
  return [...engineOptionTable, ...simulationOptionTable.filter(({ group }) => group !== 'Workload')].flatMap(
    longNames,
  );
}

/** Refusals of what a part of the file holds, with its place in the file instead of an option of the command line. */
function inPlace<Value>(place: string, act: () => Value): Value {
  try {
    return act();
  } catch (error) {
    throw placed(error, place);
  }
}

export function placed(error: unknown, place: string): unknown {
  if (!(error instanceof InputError)) return error;
  return new InputError(
    error.diagnostics.map((one) => {
      if (!one.path?.startsWith('--')) return { ...one, path: one.path ?? place };
      const isNamed = place.endsWith(`.${one.path.slice(2)}`);
      return { ...one, path: isNamed ? place : `${place} (${one.path})` };
    }),
  );
}
