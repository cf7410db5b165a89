// The expressions of a scenario, read once: conditions, objectives and assumptions as functions of a row, with the load's tokens among
// their names. A text that cannot be read is refused here, with the place in the scenario.
import type {
  ScenarioAssumption,
  ScenarioConstraint,
  ScenarioLoad,
  ScenarioObjective,
  ScenarioPreset,
} from '../../spec/scenario.ts';
import type { Cells } from './cells.ts';
import { type RowExpression, rowExpression } from './filter.ts';
import { columnCalled } from './names.ts';

export interface Constraint extends ScenarioConstraint {
  holds(cells: Cells): boolean;
}

export interface Objective extends ScenarioObjective {
  /** NaN: not known. */
  value(cells: Cells): number;
}

export interface Assumption extends Pick<ScenarioAssumption, 'says' | 'otherwise' | 'essential'> {
  /** It compares with the deployment that came first, so that it says nothing of that itself. */
  relative: boolean;
  holds(cells: Cells, best: Cells): boolean;
}

export interface ScenarioRules {
  constraints: readonly Constraint[];
  objectives: readonly Objective[];
  advised(cells: Cells): boolean;
  assumptions: readonly Assumption[];
  /** Names of GPUs that stand for a whole box: "2x l40s", a node. */
  boxes: ReadonlySet<string>;
}

/** Throws InputError VRAM701 or VRAM702. */
export function scenarioRules(
  { constraints, objective, claim }: Pick<ScenarioPreset, 'constraints' | 'objective' | 'claim'>,
  { promptTokens, outputTokens }: ScenarioLoad,
  boxes: ReadonlySet<string> = new Set(),
): ScenarioRules {
  const constants = { promptTokens, outputTokens };
  const read = (text: string, path: string): RowExpression => rowExpression(text, path, constants);
  const advised = read(claim.expression, 'claim.expression');
  return {
    constraints: constraints.map((one, at) => {
      const run = read(one.expression, `constraints.${at}`);
      return { ...one, holds: (cells) => run(cells) === true };
    }),
    objectives: objective.map((one, at) => {
      const run = read(one.by, `objective.${at}`);
      return { ...one, value: (cells) => numberOf(run(cells)) };
    }),
    advised: (cells) => advised(cells) === true,
    assumptions: claim.assumptions.map((one, at) => {
      const run = read(one.expression, `claim.assumptions.${at}`);
      const relative = /\bbest\./.test(one.expression);
      return { ...one, relative, holds: (cells, best) => run(cells, best) === true };
    }),
    boxes,
  };
}

/** Keys of the columns that an expression names, in its order. */
export function columnsIn(expression: string): string[] {
  const unquoted = expression.replace(/"[^"]*"|'[^']*'/g, '');
  const keys = [...unquoted.matchAll(/[A-Za-z_][\w.]*/g)].flatMap(([word]) => columnCalled(word)?.key ?? []);
  return [...new Set(keys)];
}

function numberOf(value: unknown): number {
  return typeof value === 'number' ? value : Number.NaN;
}
