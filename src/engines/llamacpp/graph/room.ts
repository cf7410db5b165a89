// How large a graph a build has room for: the table of the scheduler's tensors has a size that goes by the model's tensors, and a
// graph with more of them ends the process. Law: src/llama-context.cpp (graph_max_nodes), ggml/src/ggml.c (ggml_hash_size).
import type { GgufModel } from '../../../spec/gguf.ts';
import { GraphAbort } from '../aborts.ts';
import type { Placement } from '../types.ts';
import type { Build } from './build.ts';

/** Nodes that a graph may have: of the model's tensors or of the batch's tokens, whichever are more. */
interface Room {
  least: number;
  perTensor: number;
  /** Architectures with graphs that grow with the batch. */
  wide: readonly { architectures: readonly string[]; perTensor: number; perToken: number }[];
}

/** Aborts as the build would where the built graph does not fit. */
export function checkRoom(b: Build): void {
  const most = maxNodes(b);
  if (b.nodes.length > most || b.leafs.length > most) {
    throw new GraphAbort('GGML_ASSERT(cgraph->n_nodes < cgraph->size) failed');
  }
  // Every node and leaf has a place in the table; it ends where no free one is found.
  if (b.nodes.length + b.leafs.length > tableSize(most)) {
    throw new GraphAbort('ggml-impl.h: fatal error (no room for the tensors of the graph)');
  }
}

function maxNodes(b: Build): number {
  const { least, perTensor, wide } = b.input.rules['graph.room'] as Room;
  const law = wide.find(({ architectures }) => architectures.includes(b.hp.architecture));
  const { nCtx, nUbatch } = b.input.context;
  const tensors = loadedTensors(b);
  return law
    ? Math.max(Math.min(nCtx, nUbatch) * law.perToken, law.perTensor * tensors)
    : Math.max(least, perTensor * tensors);
}

/** Those of the file, the output's copy of a tied embedding and a copy of rotary factors for every device with layers. */
function loadedTensors({ input: { model, placement } }: Build): number {
  const devices = new Set(placement.layers.slice(0, -1)).size;
  const rotary = model.tensors.filter(({ name }) => name.startsWith('rope_')).length;
  return model.tensors.length + (devices - 1) * rotary + (isTied(model, placement) ? 1 : 0);
}

const isTied = (model: GgufModel, { tiedOutput }: Placement): boolean =>
  typeof tiedOutput === 'number' && !model.tensors.some(({ name }) => name === 'output.weight');

/** The first prime after a power of two that is large enough. */
function tableSize(least: number): number {
  return primes.find((prime) => prime >= least) ?? least;
}

const primes = [1031, 2053, 4099, 8209, 16411, 32771, 65537, 131101, 262147, 524309, 1048583, 2097169];
