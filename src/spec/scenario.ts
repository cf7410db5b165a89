// A scenario of `vram compare --for`: what somebody wants of a deployment, as data. The load it is for, what is considered, the conditions
// that an answer must meet, what makes one better than another, and what the well-known decision table advises with the assumptions
// under which that holds. Conditions and figures are expressions over the columns of a comparison (plan/compare/columns.ts).
import type { Json } from './model.ts';

export interface ScenarioLoad {
  promptTokens: number;
  outputTokens: number;
  /** Sequences at once. */
  concurrency: number;
  /** The longest sequence that has to be served; absent: prompt and answer. */
  longest?: number;
}

export interface ScenarioConstraint {
  expression: string;
  because: string;
  source?: string;
}

export interface ScenarioObjective {
  /** An expression; a column alone in most cases. */
  by: string;
  title: string;
  unit: string;
  better: 'less' | 'more';
  /** Differences up to this share do not count: the next objective decides. */
  within?: number;
}

export interface ScenarioAssumption {
  says: string;
  /** Over the best deployment of the advised kind; `best.<column>` is the deployment that came first. */
  expression: string;
  /** What is said where it fails; {column} and {best.column} stand for figures. */
  otherwise: string;
  /** Without it the advice has nothing to gain, even where the best deployment is of the advised kind. */
  essential?: boolean;
}

export interface ScenarioPreset {
  id: string;
  name: string;
  /** Other names that --for takes. */
  aliases?: readonly string[];
  question: string;
  load: ScenarioLoad;
  /** In the order of preference: the first that meets the conditions gets the three deployments. */
  models: readonly string[];
  gpus: readonly string[];
  consider: {
    engines: readonly string[];
    quantizations: readonly string[];
    kvCacheDtypes?: readonly string[];
    tp?: readonly number[];
    pp?: readonly number[];
    dp?: readonly number[];
  };
  /** By engine, in its own option names; $context, $concurrency, $tokens and $longest stand for the load. */
  options?: Readonly<Record<string, Readonly<Record<string, Json>>>>;
  constraints: readonly ScenarioConstraint[];
  objective: readonly ScenarioObjective[];
  claim: {
    advice: string;
    /** Which deployments are of the advised kind. */
    expression: string;
    assumptions: readonly ScenarioAssumption[];
  };
  sources: readonly string[];
  notes?: readonly string[];
}

/** The words of an option's value that stand for the load. */
export function loadWords({ promptTokens, outputTokens, concurrency, longest = 0 }: ScenarioLoad): Map<string, number> {
  const context = promptTokens + outputTokens;
  return new Map([
    ['$context', context],
    ['$concurrency', concurrency],
    ['$tokens', context * concurrency],
    ['$longest', Math.max(longest, context)],
  ]);
}
