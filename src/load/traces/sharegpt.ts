// ShareGPT conversations: turns of people and a model as texts, without times and without a tokenizer. Tokens are estimated
// from the length of the text; every answered question is a request whose prompt holds all that was said before.
import { appendRun, type WorkloadBuilder } from '../../sim/workload/builder.ts';
import { type JsonRow, noArrival, type ReadContext, type RowReader } from './format.ts';
import { RowProblem } from './report.ts';

/**
 * UTF-8 bytes of a token: about 4 for English text with the vocabularies of current models (3 bytes of one Chinese character
 * are then three quarters of a token). An estimate: a tokenizer would be needed to count.
 */
const bytesPerToken = 4;

const people = new Set(['human', 'user']);
const models = new Set(['gpt', 'assistant', 'chatgpt', 'bing', 'bard', 'model']);

export function conversationLine(context: ReadContext): RowReader<JsonRow> {
  const { report } = context;
  const systemRuns = new Map<string, [number, number]>();
  return {
    row(row, line) {
      const messages = row.conversations ?? row.conversation;
      if (!Array.isArray(messages)) throw new RowProblem('VRAM606', 'conversations is not a list');
      const before = context.builder.size;
      addConversation(messages, context, systemRuns);
      if (context.builder.size === before) report.tally('unanswered', line);
    },
    done() {
      report.note(
        'VRAM612',
        `token counts are estimates: one token per ${bytesPerToken} bytes of text, without the chat template`,
        'give a trace with token counts where they matter',
      );
      report.tell('unanswered', 'VRAM609', 'conversation', 'without an answered question left out');
    },
  };
}

function addConversation(
  messages: readonly unknown[],
  { builder, thinkSeconds }: ReadContext,
  systemRuns: Map<string, [number, number]>,
): void {
  let previous: number | undefined;
  let pending: number[] = [];
  let pendingTokens = 0;
  let asked = false;
  const add = (tokens: number, run: readonly number[] = builder.privateRun(tokens)) => {
    for (let at = 0; at < run.length; at += 2) appendRun(pending, run[at]!, run[at + 1]!);
    pendingTokens += tokens;
  };
  for (let at = 0; at < messages.length; at++) {
    const { role, text } = messageOf(messages[at]);
    const tokens = estimatedTokens(text);
    if (tokens === 0) continue;
    if (role === 'model' && asked) {
      let answer = tokens;
      // A model that speaks twice in a row gives one answer.
      while (at + 1 < messages.length && messageOf(messages[at + 1]).role === 'model') {
        answer += estimatedTokens(messageOf(messages[++at]).text);
      }
      previous = addTurn(builder, { previous, pending, pendingTokens, answer, thinkSeconds });
      pending = [];
      pendingTokens = 0;
      asked = false;
    } else if (role === 'system') {
      const run = systemRuns.get(text) ?? builder.privateRun(tokens);
      systemRuns.set(text, run);
      add(tokens, run);
    } else {
      // What a model said before anybody asked is context.
      add(tokens);
      if (role === 'person') asked = true;
    }
  }
}

interface NewTurn {
  previous: number | undefined;
  pending: readonly number[];
  pendingTokens: number;
  answer: number;
  thinkSeconds: number | undefined;
}

function addTurn(
  builder: WorkloadBuilder,
  { previous, pending, pendingTokens, answer, thinkSeconds }: NewTurn,
): number {
  if (previous === undefined) {
    return builder.add({
      arrival: noArrival,
      prompt: pending,
      promptTokens: pendingTokens,
      outputTokens: answer,
      outputBase: builder.answerRun(answer),
    });
  }
  const { promptTokens, outputTokens } = builder.requests[previous]!;
  return builder.add({
    arrival: noArrival,
    prompt: builder.continued(previous, pending),
    promptTokens: promptTokens + outputTokens + pendingTokens,
    outputTokens: answer,
    outputBase: builder.answerRun(answer),
    after: previous,
    thinkSeconds,
  });
}

function messageOf(message: unknown): { role: 'person' | 'model' | 'system' | 'other'; text: string } {
  const { from, role, value, content } = (message ?? {}) as Record<string, unknown>;
  const text = typeof value === 'string' ? value : typeof content === 'string' ? content : '';
  const who = String(from ?? role ?? '').toLowerCase();
  return { text, role: people.has(who) ? 'person' : models.has(who) ? 'model' : who === 'system' ? 'system' : 'other' };
}

function estimatedTokens(text: string): number {
  return Math.ceil(Buffer.byteLength(text) / bytesPerToken);
}
