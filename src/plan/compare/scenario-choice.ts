// Which rows a scenario recommends: the best by its objectives, then the best of another kind, three in all; and why each comes after the
// one above, in figures. Objectives decide one after the other: where two rows differ by no more than a share that the scenario states,
// which an estimate could not tell apart anyway, the next one decides.
import { type Cells, cellOf } from './cells.ts';
import { columnCalled } from './names.ts';
import { figureText, pairText } from './scenario-figures.ts';
import type { Objective } from './scenario-rules.ts';

/** Best first, each of a kind of its own. Rows whose first objective is not known are no choice. */
export function chooseRows(
  rows: readonly Cells[],
  objectives: readonly Objective[],
  { most, kindOf }: { most: number; kindOf(cells: Cells): string },
): Cells[] {
  const chosen: Cells[] = [];
  let left = rows.filter((cells) => Number.isFinite(objectives[0]!.value(cells)));
  while (left.length > 0 && chosen.length < most) {
    const best = bestOf(left, objectives)!;
    chosen.push(best);
    left = left.filter((cells) => kindOf(cells) !== kindOf(best));
  }
  return chosen;
}

/** Each objective leaves those that come close to its best; of what is left in the end, the first by name. */
export function bestOf(rows: readonly Cells[], objectives: readonly Objective[]): Cells | undefined {
  let left = rows.filter((cells) => Number.isFinite(objectives[0]?.value(cells) ?? 0));
  for (const objective of objectives) {
    const known = left.filter((cells) => Number.isFinite(objective.value(cells)));
    if (known.length === 0) continue;
    const best = Math[objective.better === 'less' ? 'min' : 'max'](...known.map((cells) => objective.value(cells)));
    left = known.filter((cells) => isClose(objective.value(cells), best, objective));
  }
  return left.reduce<Cells | undefined>((a, b) => (a !== undefined && idOf(a) <= idOf(b) ? a : b), undefined);
}

function isClose(value: number, best: number, { better, within = 0 }: Objective): boolean {
  const most = Math.abs(best) * within;
  return better === 'less' ? value <= best + most : value >= best - most;
}

/** What speaks for the row above, the deciding figure first, and what this one has for it. */
export function lossReason(row: Cells, above: Cells, objectives: readonly Objective[]): string {
  const decisive =
    objectives.find((objective) => isWorse(row, above, objective, objective.within ?? 0)) ??
    objectives.find((objective) => isWorse(row, above, objective, 0));
  if (!decisive) return 'the same in every figure that was asked for; it comes after by name alone';
  const equal = objectives
    .slice(0, objectives.indexOf(decisive))
    .filter(({ value, within }) => within !== undefined && value(row) !== value(above))
    .map(({ title, within }) => `${title} equal within ${Math.round(within! * 100)} %`);
  const quality = qualityOf(row, above, decisive);
  const better = besides
    .filter(({ by }) => by !== columnCalled(decisive.by)?.key)
    .flatMap((one) => betterBy(row, above, one));
  const but = [...(quality.better ? [quality.text] : []), ...better].slice(0, 2);
  return [
    figuresAgainst(row, above, decisive),
    ...equal,
    quality.better ? '' : quality.text,
    but.length > 0 ? `but ${but.join(', ')}` : '',
  ]
    .filter(Boolean)
    .join('; ');
}

function isWorse(row: Cells, above: Cells, objective: Objective, within: number): boolean {
  const [a, b] = [objective.value(row), objective.value(above)];
  if (!Number.isFinite(b)) return false;
  if (!Number.isFinite(a)) return true;
  const difference = objective.better === 'less' ? a - b : b - a;
  return difference > Math.abs(b) * within && difference > 0;
}

function figuresAgainst(row: Cells, above: Cells, { title, unit, ...objective }: Objective): string {
  const [a, b] = [objective.value(row), objective.value(above)];
  const figures = pairText(a, b, unit);
  if (!Number.isFinite(a)) return `${title} is not known, against ${figureText(b, unit)}`;
  const ratio = a / b;
  if (unit === '%' || !(ratio > 0) || !Number.isFinite(ratio))
    return `${objective.better === 'less' ? 'more' : 'less'} ${title}: ${figures}`;
  return `${ratioText(ratio)} the ${title}: ${figures}`;
}

function ratioText(ratio: number): string {
  return Math.abs(ratio - 1) < 0.095 ? `${ratio.toFixed(2)}x` : `${ratio.toFixed(ratio < 10 ? 1 : 0)}x`;
}

interface Beside {
  by: string;
  unit: string;
  better: 'less' | 'more';
  says: string;
}

/** What a reader wants to know of a deployment, whatever it was ranked by. */
const besides: readonly Beside[] = [
  { by: 'price.perHour', unit: 'USD/h', better: 'less', says: 'cheaper to keep' },
  { by: 'price.perMillionOutputTokens', unit: 'USD/M', better: 'less', says: 'cheaper by the token' },
  { by: 'speed.loadedTpotSeconds', unit: 's', better: 'less', says: 'faster for each' },
  { by: 'workload.maxConcurrencyAtContext', unit: 'sequences', better: 'more', says: 'room for more' },
];

/** Only what is plain: a tenth at least. */
function betterBy(row: Cells, above: Cells, { by, unit, better, says }: Beside): string[] {
  const [a, b] = [cellOf(row, by), cellOf(above, by)];
  if (typeof a !== 'number' || typeof b !== 'number' || a <= 0 || b <= 0) return [];
  const gain = better === 'less' ? b / a : a / b;
  return gain < 1.1 ? [] : [`${says} (${pairText(a, b, unit)})`];
}

function qualityOf(row: Cells, above: Cells, decisive: Objective): { better: boolean; text: string } {
  const key = 'quality.relativeLoss';
  const [a, b] = [cellOf(row, key), cellOf(above, key)];
  if (typeof a !== 'number' || typeof b !== 'number' || columnCalled(decisive.by)?.key === key)
    return { better: false, text: '' };
  if (a === b) return { better: false, text: 'the same quality' };
  return { better: a < b, text: `${a > b ? 'more' : 'less'} quality lost (${pairText(a, b, '%')})` };
}

function idOf(cells: Cells): string {
  return String(cellOf(cells, 'id'));
}
