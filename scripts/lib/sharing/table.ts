// The comparison of sharing policies as tables: every line with what was expected, what came out and whether that is it; the loads whose
// policies are shown side by side; notes and where the loads are from.
import type { Means } from './expect.ts';
import type { Line, SharingCase } from './lines.ts';
import type { ByVariant, Figures } from './runs.ts';

/** A case that was run: figures by trial. */
export interface Judged {
  one: SharingCase;
  trials: readonly ByVariant[];
}

function meansOf(trials: readonly ByVariant[]): Means {
  const means: Record<string, Figures> = {};
  for (const name of Object.keys(trials[0]!)) {
    const all = trials.map((trial) => trial[name]!);
    const mean = {} as Record<keyof Figures, number>;
    for (const key of Object.keys(all[0]!) as (keyof Figures)[])
      mean[key] = all.reduce((sum, figures) => sum + figures[key], 0) / all.length;
    means[name] = mean;
  }
  return means;
}

export function judged({ one, trials }: Judged): { line: Line; holds: boolean }[] {
  const means = meansOf(trials);
  return one.lines.map((line) => ({ line, holds: line.holds(means) }));
}

export function tableOf(all: readonly Judged[]): string[] {
  const notes: string[] = [];
  const rows = all.flatMap((judgement) => {
    const means = meansOf(judgement.trials);
    return judged(judgement).map(({ line, holds }) => {
      const mark = line.note ? ` (${numberOf(line.note, notes)})` : '';
      const pair = (figure: (one: Figures) => number, digits: number): string =>
        `${spread(judgement, line.from, figure, digits)} → ${spread(judgement, line.to, figure, digits)}`;
      const cells = [
        line.name,
        line.expects,
        pair(({ ttftP99 }) => ttftP99, 1),
        `${waits(means[line.from]!)} → ${waits(means[line.to]!)}`,
        pair(({ slo }) => 100 * slo, 0),
        `${holds ? 'yes' : '**no**'}${mark}`,
      ];
      const also = line.also ? `<br>${line.also(means)}` : '';
      return `| ${cells[0]} | ${cells[1]}${also} | ${cells.slice(2).join(' | ')} |`;
    });
  });
  return [
    '| load | expected | TTFT P99, s | preempted + refused | % in SLO | so it is |',
    '|---|---|--:|--:|--:|---|',
    ...rows,
    '',
    ...notes.map((note, i) => `${i + 1}. ${note}`),
    '',
    `Loads: ${all.map(({ one }) => `${one.id}: ${one.load}`).join('; ')}.`,
  ];
}

function numberOf(note: string, notes: string[]): number {
  if (!notes.includes(note)) notes.push(note);
  return notes.indexOf(note) + 1;
}

/** TTFT P99 of every policy. */
export function sideBySide(all: readonly Judged[]): string[] {
  const shown = all.filter(({ one }) => one.all !== undefined);
  const policies = ['static', 'static-load', 'expand', 'kvcached', 'muxserve', 'oracle'];
  return [
    `| TTFT P99 in s, % in SLO | ${policies.join(' | ')} |`,
    `|---|${policies.map(() => '--:|').join('')}`,
    ...shown.map(({ one, trials }) => {
      const means = meansOf(trials);
      const cells = policies.map((name) => {
        const figures = means[name];
        return figures ? `${figures.ttftP99.toFixed(1)}, ${(100 * figures.slo).toFixed(0)}` : 'does not start';
      });
      return `| ${one.all} | ${cells.join(' | ')} |`;
    }),
  ];
}

/** The mean, with the range where there are several trials that differ. */
function spread({ trials }: Judged, name: string, figure: (one: Figures) => number, digits: number): string {
  const values = trials.map((trial) => figure(trial[name]!));
  const text = (value: number): string => value.toFixed(digits);
  const mean = text(values.reduce((sum, value) => sum + value, 0) / values.length);
  const [least, most] = [text(Math.min(...values)), text(Math.max(...values))];
  return least === most ? mean : `${mean} (${least}–${most})`;
}

function waits({ preemptions, refusals }: Figures): string {
  return `${preemptions.toFixed(0)} + ${refusals.toFixed(0)}`;
}
