// What the families of this folder share: how a text part is named inside a multimodal checkpoint, and typed reading of
// configuration fields that belong to one family. It knows no defaults of any model class: the families state them.
import { assert } from '../../../assert.ts';
import type { ModelConfig } from '../../../spec/model.ts';
import type { ForwardShape } from '../../types.ts';

/** Where a text model sits in its checkpoint. */
export interface TextOptions {
  /** Replaces `model`, the root of the decoder's names (model.language_model in Qwen3.5). */
  prefix?: string;
  /** Name of the output head, `lm_head` unless the checkpoint nests it. */
  lmHead?: string;
}

type Fields = Pick<ModelConfig, never> & Readonly<Record<string, unknown>>;

/** A number of the configuration, or the model class's default; asserts when neither is there. */
export function numberOf(config: Fields, key: string, fallback?: number): number {
  const value = config[key] ?? fallback;
  assert(typeof value === 'number', `configuration lacks ${key}`);
  return value;
}

export function flagOf(config: Fields, key: string, fallback: boolean): boolean {
  const value = config[key];
  return typeof value === 'boolean' ? value : fallback;
}

/** A list of names, or of numbers, of the configuration; undefined when the field is absent. */
export function listOf<Item extends string | number>(config: Fields, key: string): readonly Item[] | undefined {
  const value = config[key];
  return Array.isArray(value) ? (value as Item[]) : undefined;
}

/** The indices at which `kinds` names `kind`. */
export function layersOf<Kind>(kinds: readonly Kind[], kind: Kind): number[] {
  return kinds.flatMap((value, index) => (value === kind ? [index] : []));
}

/** The forward pass of a model without attention. */
export function attentionFree(hiddenSize: number, vocabSize: number): ForwardShape {
  return { hiddenSize, queryDim: 0, kvDim: 0, kvHeads: 0, intermediateSize: 0, gatedMlp: false, vocabSize };
}
