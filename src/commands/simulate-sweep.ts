// `--sweep key=a,b,c`: one run for each value of an option, or for each combination of several. The keys are the names of the
// options themselves, and each value is read as on the command line.
import { inputError } from '../diagnostics.ts';
import { nearestNames, printable } from '../load/names.ts';
import type { Settings } from '../plan/simulate-output.ts';
import { engineOptionTable, longNames } from '../spec/engine-options.ts';
import type { EngineOptions } from '../spec/options.ts';
import { type SimulationOptions, simulationOptionTable } from '../spec/simulation-options.ts';

export interface Sweep {
  key: string;
  values: string[];
}

/** More runs than this are a mistake, or a task for several commands. */
const mostRuns = 256;
const option = '--sweep';

export function parseSweep(text: string): Sweep {
  const match = /^\s*-{0,2}([a-z][a-z-]*)\s*=\s*(.*)$/i.exec(text);
  const values = (match?.[2] ?? '')
    .split(',')
    .map((value) => value.trim())
    .filter(Boolean);
  if (!match || values.length === 0) {
    throw inputError('VRAM656', `${option}: cannot read ${JSON.stringify(printable(text))}`, {
      hint: 'write a key and its values, e.g. --sweep block-size=8,16,32',
      path: option,
    });
  }
  const sweep = { key: match[1]!.toLowerCase(), values: [...new Set(values)] };
  for (const value of sweep.values) readSetting(sweep.key, value);
  return sweep;
}

/** One sweep a key: two of the same would both set it. */
export function sweepsOf(texts: readonly string[]): Sweep[] {
  const sweeps = texts.map(parseSweep);
  const twice = sweeps.find(({ key }, i) => sweeps.findIndex((other) => other.key === key) !== i);
  if (twice === undefined) return sweeps;
  throw inputError('VRAM656', `${option}: ${twice.key} is swept twice`, {
    hint: `give all its values at once: ${option} ${twice.key}=a,b,c`,
    path: option,
  });
}

/** Every combination, the last key varying fastest. */
export function combinations(sweeps: readonly Sweep[]): Settings[] {
  let all: Record<string, string | number>[] = [{}];
  for (const { key, values } of sweeps) {
    all = all.flatMap((settings) => values.map((value) => ({ ...settings, [key]: shown(value) })));
    if (all.length > mostRuns) {
      throw inputError('VRAM657', `the sweep asks for more than ${mostRuns} runs`, {
        hint: 'take fewer values, or one key at a time',
        path: option,
      });
    }
  }
  return all;
}

/** Numbers as numbers, so that a script need not parse them again. */
function shown(value: string): string | number {
  return /^\d+(\.\d+)?$/.test(value) ? Number(value) : value;
}

export interface Given {
  given: Partial<EngineOptions>;
  simulation: SimulationOptions;
}

/** The options with these settings in place of what was given. */
export function withSettings({ given, simulation }: Given, settings: Settings): Given {
  const changed: Given = { given: { ...given }, simulation: { ...simulation } };
  for (const [key, value] of Object.entries(settings)) {
    const { engine, simulation: own } = readSetting(key, String(value));
    Object.assign(changed.given, engine);
    Object.assign(changed.simulation, own);
  }
  return changed;
}

function readSetting(key: string, value: string): { engine?: object; simulation?: object } {
  const name = `--${key}`;
  const where = `${option} ${key}`;
  const engine = engineOptionTable.find((entry) => longNames(entry).includes(name));
  if (engine) return { engine: { [engine.key]: engine.read(value, where) } };
  const own = simulationOptionTable.find((entry) => longNames(entry).includes(name) && !entry.fixed);
  if (own) return { simulation: { [own.key]: own.read(value, where) } };
  const known = [...simulationOptionTable.filter(({ fixed }) => !fixed), ...engineOptionTable]
    .flatMap(longNames)
    .map((long) => long.slice(2));
  const nearest = nearestNames(key, known, 3);
  throw inputError('VRAM656', `${option}: there is no key ${JSON.stringify(printable(key))}`, {
    hint:
      nearest.length > 0
        ? `did you mean ${nearest.join(', ')}?`
        : 'any option of the engine or the workload, e.g. block-size, max-num-seqs, rate',
    path: option,
  });
}
