// The other forms of a pool's plan: where each figure comes from, Markdown, CSV. They carry the figures of the JSON and compute nothing.
import { gib } from '../numbers.ts';
import type { RequirementOutcome } from '../plan/require.ts';
import type { PoolOutput } from '../plan/sharing/output.ts';
import { csvText } from './flat.ts';
import { escaped } from './markdown.ts';
import { paintFor } from './paint.ts';
import { nameText, prose } from './shared-text.ts';
import { chosen, commands, deviceLine, notes, poolTables, verdictLine, verdictWord } from './sharing-plan.ts';
import type { TableStyle } from './table.ts';
import { visible } from './text.ts';

/** `--explain`: formula, source and confidence, each once. */
export function poolExplanation(output: PoolOutput, style: TableStyle): string {
  const paint = paintFor(style.colour);
  const width = Math.min(style.columns, 80);
  const blocks: string[] = [];
  const seen = new Set<string>();
  const add = (name: string, facts: string, { formula, source }: { formula: string; source: string }): void => {
    const key = `${name}\n${facts}\n${formula}`;
    if (seen.has(key)) return;
    seen.add(key);
    const head = name.length + facts.length <= width ? `${paint.bold(name)}${facts}` : `${paint.bold(name)}\n ${facts}`;
    blocks.push(`${head}\n  ${prose(formula, width - 2, 2)}\n  ${paint.dim(prose(`source: ${source}`, width - 2, 2))}`);
  };
  for (const { id, items } of chosen(output).models) {
    for (const item of items) {
      const { gpu, bytes, confidence } = item;
      add(`${nameText(id)}: ${item.id}`, ` (GPU ${gpu}): ${gib(bytes)}, ${bytes} bytes, ${confidence}`, item);
    }
  }
  for (const { policy, figures } of output.result.policies)
    for (const one of figures) add(`${visible(policy)}: ${one.figure}`, `, ${one.confidence}`, one);
  return `${paint.bold('Where each figure comes from')}\n\n${blocks.join('\n')}\n`;
}

export function poolMarkdown(output: PoolOutput, outcomes: readonly RequirementOutcome[]): string {
  const own = chosen(output);
  const tables = poolTables(output).map(({ title, head, rows }) => {
    const line = (cells: readonly string[]): string => `| ${cells.map(escaped).join(' | ')} |`;
    return `## ${escaped(title)}\n\n${line(head)}\n|${head.map(() => '---|').join('')}\n${rows.map(line).join('\n')}`;
  });
  const run = commands(output);
  const parts = [
    `# ${escaped(nameText(output.input.pool.name))}`,
    escaped(deviceLine(output)),
    `**${verdictWord(own)}** ${escaped(verdictLine(output))}`,
    ...tables,
    ...notes(output).map(escaped),
    run ? `## Run (${escaped(run.name)})\n\n\`\`\`sh\n${run.commands.map(visible).join('\n')}\n\`\`\`` : '',
    outcomes
      .map(({ requirement, holds }) => `- ${holds ? 'holds' : '**fails**'}: \`${visible(requirement)}\``)
      .join('\n'),
    output.diagnostics.map(({ severity, message, code }) => `- ${severity}: ${escaped(message)} (${code})`).join('\n'),
  ];
  return `${parts.filter(Boolean).join('\n\n')}\n`;
}

const columns = [
  'weightsBytes',
  'contextBytes',
  'activationBytes',
  'kvCacheBytes',
  'mostKvBytes',
  'numBlocks',
  'kvTokens',
  'guaranteedTokens',
] as const;

/** A line for each policy and model. */
export function poolCsv({ result }: PoolOutput): string {
  const rows: (string | number)[][] = [
    ['policy', 'fits', 'model', 'devices', 'utilization', ...columns, 'sharedBytes', 'reason'],
  ];
  for (const { policy, models, sharedBytes } of result.policies) {
    for (const one of models)
      rows.push([
        policy,
        String(one.fits),
        visible(one.id),
        one.devices.join(' '),
        one.utilization ?? '',
        ...columns.map((key) => one[key]),
        sharedBytes,
        one.reason ?? '',
      ]);
  }
  return csvText(rows);
}
