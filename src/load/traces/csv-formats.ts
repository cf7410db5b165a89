// The CSV traces: Azure LLM inference (2023 and 2024), BurstGPT (6 or 8 columns), vidur's processed traces and Prism's
// multi-model trace. All of them state lengths only, so every prompt is its own run of tokens.
import { atLeastOne, type CsvFormat, noArrival, type ReadContext, type RowReader } from './format.ts';
import { RowProblem } from './report.ts';
import { clockTime } from './timestamps.ts';
import { promptTokens, seconds, tokenCount } from './values.ts';

interface Columns {
  time: number;
  input: number;
  output: number;
  inputName: string;
  outputName: string;
}

/** github.com/Azure/AzurePublicDataset, AzureLLMInferenceTrace_*.csv; times of day with 7 decimals. */
const azure: CsvFormat = {
  id: 'azure',
  title: 'Azure LLM inference trace',
  container: 'csv',
  required: ['TIMESTAMP', 'ContextTokens', 'GeneratedTokens'],
  reader(context, column) {
    const time = clockTime();
    const columns = named(column, 'TIMESTAMP', 'ContextTokens', 'GeneratedTokens');
    return lengthsReader(context, columns, (cells) => time(cells[columns.time]));
  },
};

/** github.com/HPMLL/BurstGPT; a response of 0 tokens is a failed request. Version 3 adds Session ID and Elapsed time. */
const burstGpt: CsvFormat = {
  id: 'burstgpt',
  title: 'BurstGPT trace',
  container: 'csv',
  required: ['Timestamp', 'Request tokens', 'Response tokens'],
  reader(context, column) {
    const columns = named(column, 'Timestamp', 'Request tokens', 'Response tokens');
    const model = column('Model');
    const { report } = context;
    const inner = lengthsReader(context, columns, (cells) => seconds(cells[columns.time], 'Timestamp'));
    return {
      row(cells, line) {
        if (!isWanted(context, cells[model], line)) return;
        if (tokenCount(cells[columns.output], columns.outputName) === 0) return report.tally('failed', line);
        inner.row(cells, line);
      },
      done() {
        report.tell('failed', 'VRAM609', 'failed request', '(response 0) left out');
      },
    };
  },
};

/** github.com/microsoft/vidur data/processed_traces; most have no arrival times, some have arrived_at in seconds. */
const vidur: CsvFormat = {
  id: 'vidur',
  title: 'vidur trace',
  container: 'csv',
  required: ['num_prefill_tokens', 'num_decode_tokens'],
  reader(context, column) {
    const columns = named(column, 'arrived_at', 'num_prefill_tokens', 'num_decode_tokens');
    return lengthsReader(context, columns, (cells) =>
      columns.time < 0 ? noArrival : seconds(cells[columns.time], 'arrived_at'),
    );
  },
};

/** Multi-LLM/prism-research benchmark/multi-model: one stream of requests to many models, ranked by load. */
const prism: CsvFormat = {
  id: 'prism',
  title: 'Prism multi-model trace',
  container: 'csv',
  required: ['arrived_at_s', 'model_rank', 'prompt_tokens', 'output_tokens'],
  reader(context, column) {
    const columns = named(column, 'arrived_at_s', 'prompt_tokens', 'output_tokens');
    const model = column('model_rank');
    const inner = lengthsReader(context, columns, (cells) => seconds(cells[columns.time], 'arrived_at_s'));
    return {
      row(cells, line) {
        if (!isWanted(context, cells[model], line)) return;
        inner.row(cells, line);
      },
    };
  },
};

export const csvFormats: readonly CsvFormat[] = [azure, burstGpt, prism, vidur];

function named(column: (name: string) => number, time: string, input: string, output: string): Columns {
  const at = (name: string) => column(name);
  return { time: at(time), input: at(input), output: at(output), inputName: input, outputName: output };
}

function lengthsReader(
  { builder, report }: ReadContext,
  columns: Columns,
  timeOf: (cells: readonly string[]) => number,
): RowReader<readonly string[]> {
  const last = Math.max(columns.time, columns.input, columns.output);
  return {
    row(cells, line) {
      if (cells.length <= last) {
        throw new RowProblem('VRAM605', `${cells.length} columns, expected at least ${last + 1}`);
      }
      const input = promptTokens(cells[columns.input], columns.inputName);
      const output = tokenCount(cells[columns.output], columns.outputName);
      const arrival = timeOf(cells);
      builder.add({ arrival, promptTokens: input, outputTokens: atLeastOne(output, line, report) });
    },
  };
}

/** Rows of other models are counted. */
function isWanted({ model: wanted, report }: ReadContext, model: string | undefined, line: number): boolean {
  const name = model?.trim();
  if (wanted === undefined || name === wanted) return true;
  report.tally('otherModel', line);
  if (name && report.otherModels.size < 10) report.otherModels.add(name);
  return false;
}
