// `npm run speed`: published speeds beside the static estimate of the same deployment, row by row and in the middle of groups. With
// --write the README's table of speeds is rewritten from the same figures: a sample of the rows, all of the summary.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  absoluteError,
  isLlama,
  judgeSpeeds,
  median,
  type PublishedSpeed,
  readPublishedSpeeds,
  type SpeedJudgement,
  summary,
} from './lib/published-speed.ts';
import { replaceBlock } from './lib/readme-block.ts';

const units: Readonly<Record<PublishedSpeed['metric'], string>> = {
  outputTokensPerSecond: 'out/s',
  totalTokensPerSecond: 'tokens/s',
  requestsPerSecond: 'requests/s',
  tpotSeconds: 'ms TPOT',
  ttftSeconds: 'ms TTFT',
  latencySeconds: 's',
};

const shownRows = 40;
const rows = readPublishedSpeeds();
const judgements = await judgeSpeeds(rows);
console.log([...tableOf(judgements), '', ...summaryOf(judgements), '', ...unplannedOf(rows)].join('\n'));
if (process.argv.includes('--write')) {
  const readme = fileURLToPath(new URL('../README.md', import.meta.url));
  const lines = [...summaryOf(judgements), '', ...tableOf(sample(judgements))];
  writeFileSync(readme, replaceBlock(readFileSync(readme, 'utf8'), 'speed', lines));
}

function tableOf(shown: readonly SpeedJudgement[]): string[] {
  return [
    '| run | load | published | estimated | error | bound |',
    '|---|---|--:|--:|--:|---|',
    ...shown.map((judgement) => {
      const { row, estimated, error, bound, heldOut } = judgement;
      const cells = [runOf(row), loadOf(row), figure(row, row.value), figure(row, estimated), signed(error)];
      return `| ${cells.join(' | ')} | ${bound}${heldOut ? '' : ' *'} |`;
    }),
  ];
}

function runOf({ model, gpu, args = '', engine, servers = 1 }: PublishedSpeed): string {
  const word = (flag: string): string | undefined => new RegExp(`${flag} (\\S+)`).exec(args)?.[1];
  const ranks = [Number(word('--tp') ?? 1), Number(word('--pp') ?? 1)];
  const count = ranks[0]! * ranks[1]! * servers;
  const how = [ranks[0]! > 1 ? `TP ${ranks[0]}` : '', ranks[1]! > 1 ? `PP ${ranks[1]}` : ''].filter(Boolean).join(' ');
  const scheme = word('-q');
  return `${model}${scheme ? ` ${scheme}` : ''} on ${count > 1 ? `${count} x ` : ''}${gpu}${how ? `, ${how}` : ''}, ${engine}`;
}

function loadOf({ requests, concurrency, rate, promptTokens, outputTokens }: PublishedSpeed): string {
  const lengths = `${Math.round(promptTokens)}/${Math.round(outputTokens)}`;
  if (rate !== undefined) return `${lengths}, ${rate}/s`;
  return `${lengths}, ${concurrency ?? `${requests} at once`}`;
}

function figure({ metric }: PublishedSpeed, value: number): string {
  const shown = metric === 'tpotSeconds' || metric === 'ttftSeconds' ? value * 1000 : value;
  const digits = shown >= 100 ? 0 : shown >= 10 ? 1 : 2;
  return `${shown.toFixed(digits)} ${units[metric]}`;
}

function signed(error: number): string {
  return `${error < 0 ? '-' : '+'}${Math.abs(error * 100).toFixed(0)} %`;
}

function summaryOf(all: readonly SpeedJudgement[]): string[] {
  const of = (filter: (judgement: SpeedJudgement) => boolean): SpeedJudgement[] => all.filter(filter);
  const minor = ({ row }: SpeedJudgement): number => (isLlama(row) ? Number.NaN : Number(row.engine.split('.')[1]));
  const is = (pattern: RegExp) => (judgement: SpeedJudgement) => pattern.test(judgement.row.args ?? '');
  const groups: [string, SpeedJudgement[]][] = [
    ['all', [...all]],
    ['rules chosen with them in view (*)', of(({ heldOut }) => !heldOut)],
    ['held out', of(({ heldOut }) => heldOut)],
    ['throughput', of(({ row }) => /PerSecond$/.test(row.metric))],
    [
      'time of a token, a prompt or a batch',
      of(({ row }) => /Seconds$/.test(row.metric) && !/PerSecond/.test(row.metric)),
    ],
    ['16 bit', of((j) => !is(/-q /)(j))],
    ['8 bit', of(is(/-q (fp8|w8a8|gptq-int8|modelopt-fp8)/))],
    ['4 bit', of(is(/-q (awq|gptq |gptq$|w4a16|nvfp4|bitsandbytes|q4_k_m|mxfp4)/))],
    ['tensor parallel', of(is(/--tp /))],
    ['vLLM before 0.8', of((j) => minor(j) < 8)],
    ['vLLM from 0.8', of((j) => minor(j) >= 8)],
    ...[...new Set(all.map(({ row }) => row.gpu))]
      .sort()
      .map((gpu): [string, SpeedJudgement[]] => [gpu, of(({ row }) => row.gpu === gpu)]),
  ];
  const models = new Set(all.map(({ row }) => row.model)).size;
  const gpus = new Set(all.map(({ row }) => row.gpu)).size;
  return [
    `${all.length} published runs of vLLM and llama.cpp: ${models} models, ${gpus} GPUs, ${publishers(all).size} publishers; median error of the publishers' medians ${percent(perPublisher(all))}.`,
    '',
    '| runs | count | median error | within 30 % | middle of the signed errors |',
    '|---|--:|--:|--:|--:|',
    ...groups
      .filter(([, group]) => group.length > 0)
      .map(([name, group]) => {
        const { median: middle, within30, bias } = summary(group);
        return `| ${name} | ${group.length} | ${percent(middle)} | ${percent(within30)} | ${signed(bias)} |`;
      }),
  ];
}

/** Of one publisher all runs count once, so that large tables do not outvote the rest. */
function perPublisher(all: readonly SpeedJudgement[]): number {
  return median([...publishers(all).values()].map((group) => median(group.map(absoluteError))));
}

function publishers(all: readonly SpeedJudgement[]): Map<string, SpeedJudgement[]> {
  const groups = new Map<string, SpeedJudgement[]>();
  for (const judgement of all) {
    const name = judgement.row.id.split('-')[0]!;
    groups.set(name, [...(groups.get(name) ?? []), judgement]);
  }
  return groups;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}

/** The same number of every GPU as far as there are, other models first; which ones, a hash decides. */
function sample(all: readonly SpeedJudgement[]): SpeedJudgement[] {
  const key = ({ row }: SpeedJudgement): string => createHash('sha256').update(`row ${row.id}`).digest('hex');
  const ordered = [...all].sort((a, b) => (key(a) < key(b) ? -1 : 1));
  const seen = new Map<string, number>();
  const rank = new Map(
    ordered.map((judgement) => {
      const { gpu, model } = judgement.row;
      const times = (name: string): number => seen.set(name, (seen.get(name) ?? -1) + 1).get(name)!;
      return [judgement, times(gpu) + 3 * times(`${gpu} ${model}`)];
    }),
  );
  const taken = ordered.sort((a, b) => rank.get(a)! - rank.get(b)!).slice(0, shownRows);
  return taken.sort((a, b) => (`${a.row.gpu} ${a.row.id}` < `${b.row.gpu} ${b.row.id}` ? -1 : 1));
}

function unplannedOf(all: readonly PublishedSpeed[]): string[] {
  return all.filter((row) => row.unplanned).map((row) => `not estimated: ${row.id}: ${row.unplanned}`);
}
