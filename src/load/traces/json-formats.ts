// The traces with one JSON object a line: Mooncake and Bailian (prompts as hash ids), measured vLLM runs, and our own form.

import type { WorkloadBuilder } from '../../sim/workload/builder.ts';
import { HashBlocks } from '../../sim/workload/hash-blocks.ts';
import { printable } from '../names.ts';
import { atLeastOne, type JsonFormat, type JsonRow, type ReadContext } from './format.ts';
import { own } from './own-format.ts';
import { counted, RowProblem } from './report.ts';
import { conversationLine } from './sharegpt.ts';
import { promptTokens, seconds, tokenCount } from './values.ts';

/** kvcache-ai/Mooncake FAST25-release/traces: milliseconds, one hash id per 512 tokens; equal id, equal prefix block. */
const mooncake: JsonFormat = {
  id: 'mooncake',
  title: 'Mooncake trace',
  container: 'jsonl',
  required: ['timestamp', 'input_length', 'output_length', 'hash_ids'],
  blockTokens: 512,
  reader(context) {
    const { builder, report } = context;
    const blocks = new HashBlocks(512);
    return {
      row(row, line) {
        const { input, output, ids } = hashRow(row);
        const prompt = hashedPrompt(blocks, ids, input, line, context);
        const outputTokens = atLeastOne(output, line, report);
        builder.add({ arrival: seconds(row.timestamp, 'timestamp', 1e-3), prompt, promptTokens: input, outputTokens });
      },
      done: () => tellHashes(context),
    };
  },
};

/**
 * alibaba-edu/qwen-bailian-usagetraces-anon: seconds, hash ids of 16 tokens, conversations by parent_chat_id. The ids of a turn
 * cover the earlier answer too: those blocks hold the earlier request's generated tokens, so that they are found in the cache.
 */
const bailian: JsonFormat = {
  id: 'bailian',
  title: 'Qwen-Bailian trace',
  container: 'jsonl',
  required: ['timestamp', 'input_length', 'output_length', 'hash_ids', 'chat_id', 'parent_chat_id'],
  extras: true,
  blockTokens: 16,
  reader(context) {
    const { builder, report } = context;
    const blocks = new HashBlocks(16);
    const turns = new Map<string, Turn>();
    return {
      row(row, line) {
        const { input, output, ids } = hashRow(row);
        const arrival = seconds(row.timestamp, 'timestamp');
        const parentId = chatId(row.parent_chat_id);
        const parent = parentId === undefined ? undefined : turns.get(parentId);
        if (parentId !== undefined && !parent) report.tally('orphan', line);
        if (parent) continueConversation(blocks, parent, ids, input, builder);
        const prompt = hashedPrompt(blocks, ids, input, line, context);
        const outputTokens = atLeastOne(output, line, report);
        const index = builder.add({ arrival, prompt, promptTokens: input, outputTokens, after: parent?.index });
        const own = chatId(row.chat_id);
        if (own !== undefined) turns.set(own, { index, ids });
      },
      done() {
        tellHashes(context);
        report.tell('orphan', 'VRAM619', 'turn', 'after one that is not in the trace: taken alone');
      },
    };
  },
};

/** Requests measured on a real server (LLMServingSim's bench): two clocks, of which queued_ts is the server's own. */
const measured: JsonFormat = {
  id: 'measured',
  title: 'measured run',
  container: 'jsonl',
  required: ['input_toks', 'output_toks', ['queued_ts', 'arrival_time']],
  reader({ builder, report }) {
    const arrivals: number[] = [];
    let allQueued = true;
    return {
      row(row, line) {
        const queued =
          row.queued_ts === undefined || row.queued_ts === null ? undefined : seconds(row.queued_ts, 'queued_ts');
        const arrived =
          row.arrival_time === undefined || row.arrival_time === null
            ? undefined
            : seconds(row.arrival_time, 'arrival_time');
        if (queued === undefined && arrived === undefined) {
          throw new RowProblem('VRAM606', 'neither queued_ts nor arrival_time is given');
        }
        const promptCount = promptTokens(row.input_toks, 'input_toks');
        const outputTokens = atLeastOne(tokenCount(row.output_toks, 'output_toks'), line, report);
        if (queued === undefined) allQueued = false;
        arrivals.push(arrived ?? Number.NaN);
        const id = typeof row.request_id === 'string' ? row.request_id : undefined;
        builder.add({ id, arrival: queued ?? Number.NaN, promptTokens: promptCount, outputTokens });
      },
      done() {
        if (allQueued) return;
        // One clock for all: a row without queued_ts brings everybody back to arrival_time.
        const missing = arrivals.filter(Number.isNaN).length;
        if (missing > 0) {
          report.note(
            'VRAM606',
            `${counted(missing, 'row')} without arrival_time, where not all have queued_ts: taken as the first to arrive`,
            'give every row the one or the other',
          );
        }
        let first = Number.POSITIVE_INFINITY;
        for (const time of arrivals) if (time < first) first = time;
        for (let at = 0; at < arrivals.length; at++) {
          builder.requests[at]!.arrival = Number.isNaN(arrivals[at]!) ? first : arrivals[at]!;
        }
      },
    };
  },
};

/** ShareGPT with one conversation a line. */
const shareGptLines: JsonFormat = {
  id: 'sharegpt',
  title: 'ShareGPT conversations',
  container: 'jsonl',
  required: ['conversations'],
  extras: true,
  reader: conversationLine,
};

/** More demanding ones first: a Bailian row has all that a Mooncake row has. */
export const jsonFormats: readonly JsonFormat[] = [bailian, mooncake, measured, shareGptLines, own];

type HashId = number | string;

interface Turn {
  index: number;
  ids: readonly HashId[];
}

function hashRow(row: JsonRow): { input: number; output: number; ids: readonly HashId[] } {
  const input = promptTokens(row.input_length, 'input_length');
  const output = tokenCount(row.output_length, 'output_length');
  const ids = row.hash_ids;
  if (!Array.isArray(ids)) throw new RowProblem('VRAM606', 'hash_ids is not a list');
  for (const id of ids) {
    if (!isHashId(id)) {
      const shown = typeof id === 'object' && id !== null ? 'a list or an object' : printable(JSON.stringify(id), 40);
      throw new RowProblem('VRAM606', `hash_ids holds ${shown} (ids are whole numbers from 0 to 2^64, or texts)`);
    }
  }
  return { input, output, ids };
}

function isHashId(id: unknown): id is HashId {
  if (typeof id === 'string') return id.trim() !== '';
  return Number.isInteger(id) && (id as number) >= 0 && (id as number) <= 2 ** 64;
}

/** Tokens of the blocks; what they do not cover is private. */
function hashedPrompt(
  blocks: HashBlocks,
  ids: readonly HashId[],
  input: number,
  line: number,
  { builder, report }: ReadContext,
): number[] {
  const needed = Math.ceil(input / blocks.blockTokens);
  const prompt = blocks.prompt(ids, input);
  if (ids.length > needed) report.tally('tooManyHashes', line);
  if (ids.length < needed) {
    report.tally('tooFewHashes', line);
    prompt.push(...builder.privateRun(input - ids.length * blocks.blockTokens));
  }
  return prompt;
}

function tellHashes({ report }: ReadContext): void {
  const few = 'with fewer hash_ids than the prompt has blocks: the rest of it is shared with nobody';
  report.tell('tooFewHashes', 'VRAM611', 'row', few);
  report.tell('tooManyHashes', 'VRAM611', 'row', 'with more hash_ids than the prompt has blocks: the excess ignored');
}

/** Only when the turn really begins with the earlier prompt's blocks and is long enough to hold its answer. */
function continueConversation(
  blocks: HashBlocks,
  parent: Turn,
  ids: readonly HashId[],
  input: number,
  builder: WorkloadBuilder,
): void {
  const { prompt, promptTokens: known, outputBase, outputTokens } = builder.requests[parent.index]!;
  if (input < known + outputTokens) return;
  const whole = Math.floor(known / blocks.blockTokens);
  for (let at = 0; at < whole; at++) if (ids[at] !== parent.ids[at]) return;
  blocks.begins(ids, known, [...prompt, outputBase, outputBase + outputTokens], known + outputTokens);
}

function chatId(value: unknown): string | undefined {
  if (value === undefined || value === null || value === '' || value === -1 || value === '-1') return undefined;
  return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
}
