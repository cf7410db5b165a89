// Our own traces, one request a line: id, arrival, prompt (segments of token ids) or input (a length), output, and what a
// request may carry besides. Times stay as they are stated: they are seconds, or steps where a step lasts one.
import { appendRun, tokensIn } from '../../sim/workload/builder.ts';
import { generatedEnd } from '../../sim/workload/token-space.ts';
import { printable } from '../names.ts';
import { atLeastOne, type JsonFormat, type JsonRow } from './format.ts';
import { RowProblem } from './report.ts';
import { promptTokens, seconds, smallInteger, tokenCount } from './values.ts';

const knownKeys = new Set('id arrival prompt input output priority salt lora max_tokens samples beam_width'.split(' '));

export const own: JsonFormat = {
  id: 'vram',
  title: 'vram trace',
  container: 'jsonl',
  required: [['prompt', 'input'], 'output'],
  extras: true,
  keepsTimes: true,
  reader({ builder, report }) {
    const ids = new Map<string, number>();
    const unknown = new Set<string>();
    return {
      row(row, line) {
        for (const key in row) if (!knownKeys.has(key) && unknown.size < 20) unknown.add(key);
        const id = idOf(row.id);
        const earlier = id === undefined ? undefined : ids.get(id);
        if (earlier !== undefined)
          throw new RowProblem('VRAM606', `id ${printable(id!, 40)} is also in line ${earlier}`);
        const prompt = row.prompt === undefined ? undefined : segments(row.prompt);
        const promptCount = prompt ? tokensIn(prompt) : promptTokens(row.input, 'input');
        if (promptCount === 0) throw new RowProblem('VRAM606', 'prompt is empty');
        const outputTokens = atLeastOne(tokenCount(row.output, 'output'), line, report);
        builder.add({
          id,
          arrival: arrivalOf(row.arrival),
          prompt,
          promptTokens: promptCount,
          outputTokens,
          ...particulars(row, outputTokens),
        });
        if (id !== undefined) ids.set(id, line);
      },
      done() {
        if (unknown.size === 0) return;
        report.note(
          'VRAM613',
          `keys that mean nothing here: ${[...unknown].map((key) => printable(key, 40)).join(', ')}`,
        );
      },
    };
  },
};

function particulars(row: JsonRow, outputTokens: number) {
  const maxTokens = row.max_tokens === undefined ? undefined : tokenCount(row.max_tokens, 'max_tokens');
  if (maxTokens !== undefined && maxTokens < outputTokens) {
    throw new RowProblem('VRAM606', `max_tokens is ${maxTokens}, less than the output (${outputTokens})`);
  }
  const { priority, lora, samples, beam_width: beams, salt } = row;
  if (salt !== undefined && salt !== null && typeof salt !== 'string' && typeof salt !== 'number') {
    throw new RowProblem('VRAM606', 'salt is not a text');
  }
  return {
    maxTokens,
    priority: optional(priority, 'priority', -1e9, 1e9),
    lora: optional(lora, 'lora', 0, 1e9),
    samples: optional(samples, 'samples', 1, 1000),
    beamWidth: optional(beams, 'beam_width', 1, 1000),
    salt: salt === undefined || salt === null || salt === '' ? undefined : String(salt),
  };
}

function optional(value: unknown, name: string, min: number, max: number): number | undefined {
  return value === undefined || value === null ? undefined : smallInteger(value, name, { min, max });
}

/** Time runs from 0 here: nothing arrives before. */
function arrivalOf(value: unknown): number {
  if (value === undefined) return 0;
  const time = seconds(value, 'arrival');
  if (time < 0) throw new RowProblem('VRAM606', `arrival is ${time} (negative)`);
  return time;
}

function idOf(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'string' && typeof value !== 'number') throw new RowProblem('VRAM606', 'id is not a text');
  return String(value);
}

/** [{"range":[from,to)}, ...]: those token ids in order; joined where one continues another. */
function segments(value: unknown): number[] {
  if (!Array.isArray(value))
    throw new RowProblem('VRAM606', 'prompt is not a list of segments such as {"range":[0,512]}');
  const runs: number[] = [];
  for (const segment of value) {
    const range = (segment as { range?: unknown } | null)?.range;
    if (!Array.isArray(range) || range.length !== 2) {
      throw new RowProblem('VRAM606', 'a segment of the prompt is not {"range":[from,to]}');
    }
    const [from, to] = range as [unknown, unknown];
    if (!isTokenId(from) || !isTokenId(to)) {
      throw new RowProblem('VRAM606', 'a range holds something else than token ids from 0 to 2^50');
    }
    if (to < from) throw new RowProblem('VRAM606', `the range [${from},${to}) runs backwards`);
    appendRun(runs, from, to);
  }
  tokenCount(tokensIn(runs), 'prompt');
  return runs;
}

function isTokenId(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= generatedEnd;
}
