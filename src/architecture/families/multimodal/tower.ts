// What a tower builder returns, and how a tower, a projector and a text family become one model. Text families know nothing of
// towers; a tower knows nothing of the text but its width.
import type { ModelSpec } from '../../../spec/model.ts';
import type { Architecture, EncoderShape, TensorGroup, TowerShape } from '../../types.ts';

export interface Tower {
  tensors: TensorGroup[];
  shape: TowerShape;
}

/** A text family under a name prefix of its checkpoint. */
export type TextFamily = (spec: ModelSpec, options?: { prefix?: string; lmHead?: string }) => Architecture;

export interface JoinParts {
  text: Architecture;
  tower: Tower;
  projector?: readonly TensorGroup[];
  encoders?: readonly EncoderShape[];
  /** Buffers that the joined model holds besides those of the tower. */
  buffers?: TowerShape['buffers'];
}

/** Tower and projector before the text, as the classes construct them. */
export function join({ text, tower, projector = [], encoders, buffers = [] }: JoinParts): Architecture {
  return {
    ...text,
    tensors: [...tower.tensors, ...projector, ...text.tensors],
    tower: { ...tower.shape, buffers: [...tower.shape.buffers, ...buffers] },
    ...(encoders ? { encoders } : {}),
  };
}
