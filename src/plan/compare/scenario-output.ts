// What `vram compare --for` answers beside its rows: the deployments it recommends and what became of the decision table's advice.
import type { ScenarioLoad } from '../../spec/scenario.ts';
import type { FlagSuggestion } from '../types.ts';
import type { CompareRow } from './output.ts';
import type { ClaimVerdict } from './scenario-claim.ts';

export interface ScenarioDeployment {
  rank: number;
  id: string;
  /** What it is, in one line. */
  words: string;
  row: CompareRow;
  /** Planned once more on its own: it starts and holds the load. */
  fits: boolean;
  /** The engine's command line and its flags with their reasons. */
  command: string;
  flags: FlagSuggestion[];
  /** What plans, and what simulates, this very deployment; simulate takes a workload besides. */
  plan: string;
  simulate: string | null;
  /** Why it comes after the one above; null for the first. */
  losesBecause: string | null;
}

export interface ScenarioModel extends ClaimVerdict {
  model: string;
  combinations: { planned: number; fitting: number; meeting: number };
  deployments: ScenarioDeployment[];
}

export interface BrokenConstraint {
  because: string;
  expression: string;
  /** Rows that fit and break it. */
  rows: number;
}

export interface ScenarioResult {
  id: string;
  name: string;
  question: string;
  load: ScenarioLoad & { context: number };
  constraints: { because: string; expression: string; source: string | null }[];
  objective: { title: string; by: string; better: 'less' | 'more'; within: number }[];
  /** The advice that is usually given. */
  claim: string;
  /** Whether it comes out for the model that the deployments are of; null: nothing meets the conditions. */
  holds: boolean | null;
  because: string[];
  /** The first model in the order of preference that meets the conditions. */
  model: string | null;
  deployments: ScenarioDeployment[];
  /** The best deployment of each of the other models. */
  others: ScenarioModel[];
  /** What the rows that fit break, where no model meets everything. */
  broken: BrokenConstraint[];
  notes: string[];
}
