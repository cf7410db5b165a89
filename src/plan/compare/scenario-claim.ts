// Whether the advice of the well-known decision table comes out for a model and GPUs: it does where the best deployment is of the advised
// kind. Where not, the best of that kind is looked for, and what it lost by is said in figures, with the assumptions that fail.
import { type Cells, cellOf } from './cells.ts';
import { columns } from './columns.ts';
import { columnCalled } from './names.ts';
import { bestOf, lossReason } from './scenario-choice.ts';
import { figureText, pairText } from './scenario-figures.ts';
import { columnsIn, type ScenarioRules } from './scenario-rules.ts';

export interface ClaimVerdict {
  /** null: nothing meets the conditions, so nothing can be said. */
  holds: boolean | null;
  because: string[];
  /** Id of the best deployment of the advised kind, where there is one that starts. */
  advised: string | null;
}

export interface ClaimInput {
  /** All rows of the model. */
  rows: readonly Cells[];
  /** The deployment that came first. */
  best: Cells | undefined;
  rules: ScenarioRules;
}

export function judgeClaim({ rows, best, rules }: ClaimInput): ClaimVerdict {
  if (!best) return { holds: null, because: ['nothing meets the conditions'], advised: null };
  const { objectives } = rules;
  if (rules.advised(best)) return confirmed(rows, best, rules);
  const advised = rows.filter((cells) => rules.advised(cells));
  const fitting = advised.filter((cells) => cellOf(cells, 'fits') === true);
  const standing = bestOf(
    fitting.filter((cells) => meets(cells, rules)),
    objectives,
  );
  if (standing) {
    const failing = rules.assumptions.filter(({ holds }) => !holds(standing, best));
    return {
      holds: false,
      because: [
        `${wordsOf(standing, rules)}: ${lossReason(standing, best, objectives)}`,
        ...failing.map(({ otherwise }) => filled(otherwise, standing, best)),
      ],
      advised: idOf(standing),
    };
  }
  const broken = bestOf(fitting, objectives) ?? fitting[0];
  if (broken) return { holds: false, because: breaches(broken, best, rules), advised: idOf(broken) };
  const refused = advised[0];
  const because = refused
    ? `${wordsOf(refused, rules)} does not fit: ${cellOf(refused, 'verdict.reason') ?? 'no room'}`
    : 'no such deployment is among those compared (--engine, --quantization, --tp)';
  return { holds: false, because: [because], advised: null };
}

/** It came out: by how much, and what it rests on; without an essential assumption anything else would have done. */
function confirmed(rows: readonly Cells[], best: Cells, rules: ScenarioRules): ClaimVerdict {
  const missing = rules.assumptions.filter(({ essential, holds }) => essential && !holds(best, best));
  if (missing.length > 0)
    return {
      holds: false,
      because: missing.map(({ otherwise }) => filled(otherwise, best, best)),
      advised: idOf(best),
    };
  const others = rows.filter((cells) => !rules.advised(cells));
  const meeting = others.filter((cells) => meets(cells, rules));
  const other = bestOf(meeting, rules.objectives);
  const lead = other
    ? [`the best of another kind, ${wordsOf(other, rules)}: ${lossReason(other, best, rules.objectives)}`]
    : others.length > 0
      ? [`none of ${others.length} deployments of another kind meets the conditions`, ...refusals(others, rules)]
      : [];
  const said = rules.assumptions
    .filter(({ relative }) => !relative)
    .map(({ says, otherwise, holds }) => (holds(best, best) ? says : `though ${otherwise}`))
    .map((text) => filled(text, best, best));
  return { holds: true, because: [...lead, ...barred(others, best, rules), ...said], advised: idOf(best) };
}

/** Why the lightest of those that do not fit does not. */
function refusals(rows: readonly Cells[], rules: ScenarioRules): string[] {
  const weight = (cells: Cells): number => Number(cellOf(cells, 'weights.tensorBytes') ?? Number.POSITIVE_INFINITY);
  const refused = rows.filter((cells) => cellOf(cells, 'fits') !== true);
  const lightest = refused.reduce<Cells | undefined>((a, b) => (a && weight(a) <= weight(b) ? a : b), undefined);
  return lightest
    ? [`${wordsOf(lightest, rules)}: ${cellOf(lightest, 'verdict.reason') ?? 'it does not hold the load'}`]
    : [];
}

/** What would have come first, had it not broken a condition. */
function barred(others: readonly Cells[], best: Cells, rules: ScenarioRules): string[] {
  const { objectives, constraints } = rules;
  const fitting = others.filter((cells) => cellOf(cells, 'fits') === true);
  const rival = bestOf(
    fitting.filter((cells) => !meets(cells, { constraints })),
    objectives,
  );
  const first = objectives[0]!;
  if (!rival || bestOf([rival, best], [first, { ...first, within: 0 }]) !== rival) return [];
  const broken = constraints.find(({ holds }) => !holds(rival))!;
  const figures = pairText(first.value(rival), first.value(best), first.unit);
  return [
    `${wordsOf(rival, rules)} has the better ${first.title} (${figures}), but breaks a condition: ${broken.because} (${figuresIn(broken.expression, rival)})`,
  ];
}

/** It starts, holds the load and breaks no condition. */
export function meets(cells: Cells, { constraints }: Pick<ScenarioRules, 'constraints'>): boolean {
  return cellOf(cells, 'fits') === true && constraints.every(({ holds }) => holds(cells));
}

/** Which conditions the best of the advised kind breaks, with its own figures. */
function breaches(row: Cells, best: Cells, rules: ScenarioRules): string[] {
  const { constraints, assumptions } = rules;
  const broken = constraints.filter(({ holds }) => !holds(row));
  const said = broken.map(({ expression, because }) => {
    return `${wordsOf(row, rules)} breaks a condition: ${because} (${figuresIn(expression, row)})`;
  });
  const failing = assumptions.filter(({ holds }) => !holds(row, best));
  return [...said, ...failing.map(({ otherwise }) => filled(otherwise, row, best))];
}

function figuresIn(expression: string, row: Cells): string {
  return columnsIn(expression)
    .map((key) => `${titleOf(key)} ${cellText(row, key)}`)
    .join(', ');
}

/** "llama-3.1-8b ..." without the model: 2x l40s, awq, tp 2, vllm@0.33.0. */
export function wordsOf(cells: Cells, { boxes }: Pick<ScenarioRules, 'boxes'>): string {
  const text = (key: string): string => String(cellOf(cells, key));
  const layout = ['tp', 'pp', 'dp'].flatMap((name) =>
    Number(cellOf(cells, `parallel.${name}`)) > 1 ? [`${name} ${text(`parallel.${name}`)}`] : [],
  );
  const count = Number(cellOf(cells, 'gpus'));
  const gpu = boxes.has(text('gpu')) ? text('gpu') : `${count}x ${text('gpu')}`;
  const scheme = text('quantization') === 'none' ? '16 bit' : text('quantization');
  const cache = /^(auto|bfloat16|float16|half|f16|bf16)$/.test(text('kvCacheDtype'))
    ? []
    : [`${text('kvCacheDtype')} cache`];
  return [gpu, scheme, ...layout, ...cache, text('engine')].join(', ');
}

function filled(template: string, advised: Cells, best: Cells): string {
  return template.replace(/\{(best\.)?([\w.]+)\}/g, (whole, prefix: string | undefined, name: string) => {
    const key = columnCalled(name)?.key;
    return key === undefined ? whole : cellText(prefix ? best : advised, key);
  });
}

function cellText(cells: Cells, key: string): string {
  const value = cellOf(cells, key);
  if (value === null) return 'not known';
  if (typeof value === 'number') return figureText(value, unitOf(key));
  return key === 'quality.relation' ? (relations[String(value)] ?? String(value)) : String(value);
}

/** What a published loss was measured on. */
export const relations: Readonly<Record<string, string>> = {
  model: 'this model',
  family: 'its family',
  other: 'another model',
  none: 'nothing: 16 bit',
};

function unitOf(key: string): string {
  return columns.find((column) => column.key === key)?.unit ?? '';
}

function titleOf(key: string): string {
  const title = columns.find((column) => column.key === key)!.title;
  return /^[A-Z]{2}/.test(title) ? title : title.toLowerCase();
}

function idOf(cells: Cells): string {
  return String(cellOf(cells, 'id'));
}
