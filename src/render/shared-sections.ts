// Which tables an answer about several models on one GPU has, for every form: the runs side by side, then the models under the run to
// go by. What a form makes of a table is its own.
import type { NamedSharedModel, SharedOutput, SharedPolicyResult } from '../plan/shared-output.ts';
import {
  anyLoads,
  anySwitches,
  type Column,
  loadColumns,
  memoryColumns,
  modelColumns,
  requestColumns,
  switchColumns,
} from './shared-columns.ts';
import { chosenName, namedRuns, notRunLine } from './shared-text.ts';
import { visible } from './text.ts';

export interface NamedRow<Row> {
  name: string;
  row: Row;
  /** The run to go by. */
  chosen?: boolean;
}

export interface Section<Row> {
  title: string;
  columns: readonly Column<Row>[];
  rows: readonly NamedRow<Row>[];
  /** What is said below it, beside what its columns mean. */
  note: string;
}

/** Empty where nothing ran. */
export function runSections(output: SharedOutput): Section<SharedPolicyResult>[] {
  const { policies } = output.result;
  const rows = namedRuns(output);
  if (rows.length === 0) return [];
  return [
    { title: 'Memory', columns: memoryColumns, rows, note: '' },
    { title: 'Requests', columns: requestColumns, rows, note: notRunLine(policies) },
    ...(anySwitches(policies) ? [{ title: 'Weights on demand', columns: switchColumns, rows, note: '' }] : []),
  ];
}

/** Empty where nothing ran. */
export function modelSections(output: SharedOutput): Section<NamedSharedModel>[] {
  const { models } = output.result;
  const rows = models.map((row) => ({ name: visible(row.id), row }));
  if (rows.length === 0) return [];
  return [
    { title: `Models under ${chosenName(output)}`, columns: modelColumns, rows, note: '' },
    ...(anyLoads(models) ? [{ title: 'Weights of each model', columns: loadColumns, rows, note: '' }] : []),
  ];
}
