// Where llama.cpp puts the tensors of a file: blocks by device, the output layer, and what -ot, --cpu-moe and the rules of a build put
// elsewhere than its block. Law: engines/llamacpp/placement.ts, which decides for every tensor.
import type { LlamaPlanned } from '../../engines/llamacpp/plan.ts';
import type { Place } from '../../engines/llamacpp/types.ts';
import { tensorBytes } from '../../spec/ggml-types.ts';
import type { GgufModel, GgufTensor } from '../../spec/gguf.ts';
import type { DevicePlacement, PlacementRole } from './types.ts';

/** One entry for every device that holds something, GPUs first. A tensor that is copied to several devices counts on each. */
export function llamaPlacement(model: GgufModel, { load }: LlamaPlanned): DevicePlacement[] {
  const { placement } = load;
  const blocks = placement.layers.length - 1;
  const devices = new Map<Place, DevicePlacement>();
  const at = (place: Place): DevicePlacement => {
    const known = devices.get(place);
    if (known) return known;
    const made: DevicePlacement = {
      device: place === 'cpu' ? 'host' : `gpu${place}`,
      blocks: ranges(placement.layers.flatMap((layer, il) => (layer === place && il < blocks ? [il] : []))),
      output: placement.layers[blocks] === place,
      overrides: [],
      tensors: 0,
      bytes: {},
      tensorBytes: 0,
    };
    devices.set(place, made);
    return made;
  };
  const strays = new Map<Place, Map<string, number[]>>();
  for (const tensor of model.tensors) {
    for (const place of placement.tensorPlaces(tensor)) {
      count(at(place), tensor);
      const block = blockOf(tensor);
      if (block === undefined || placement.layers[block] === place) continue;
      const names = strays.get(place) ?? new Map<string, number[]>();
      const name = tensor.name.replace(/^.*?blk\.\d+\./, '');
      names.set(name, [...(names.get(name) ?? []), block]);
      strays.set(place, names);
    }
  }
  copyTied(model, placement.tiedOutput, at);
  for (const [place, names] of strays) {
    at(place).overrides = [...names].map(([tensors, own]) => ({ tensors, blocks: ranges(own) }));
  }
  const order = (place: Place): number => (place === 'cpu' ? Number.MAX_SAFE_INTEGER : place);
  return [...devices].sort(([a], [b]) => order(a) - order(b)).map(([, device]) => device);
}

/** Without an output matrix the embedding is copied to the output layer's device. */
function copyTied(model: GgufModel, place: Place | undefined, at: (place: Place) => DevicePlacement): void {
  const table = model.tensors.find(({ name }) => name === 'token_embd.weight');
  if (place === undefined || place === 'cpu' || !table) return;
  const bytes = tensorBytes(table.type, table.ne);
  const device = at(place);
  device.bytes.head = (device.bytes.head ?? 0) + bytes;
  device.tensors += 1;
  device.tensorBytes += bytes;
}

function count(device: DevicePlacement, tensor: GgufTensor): void {
  const bytes = tensorBytes(tensor.type, tensor.ne);
  const role = roleOf(tensor.name);
  device.bytes[role] = (device.bytes[role] ?? 0) + bytes;
  device.tensors += 1;
  device.tensorBytes += bytes;
}

function blockOf({ name }: GgufTensor): number | undefined {
  const block = /(?:^|\.)blk\.(\d+)\./.exec(name)?.[1];
  return block === undefined ? undefined : Number(block);
}

/** By the names that the converter gives (gguf-py/gguf/constants.py). */
function roleOf(name: string): PlacementRole {
  if (/^(?:token_embd|per_layer_token_embd|position_embd|token_types)\b/.test(name)) return 'embedding';
  if (/^output\./.test(name)) return 'head';
  if (/\.ffn_\w*exps\b/.test(name)) return 'experts';
  if (/\.nextn\./.test(name)) return 'draft';
  if (/\.ffn_(?:norm|post_norm|gate_inp|sub_norm)|_norm\b/.test(name)) return 'other';
  if (/\.ffn_/.test(name)) return 'mlp';
  if (/\.(?:ssm_|time_mix_|channel_mix_|shortconv)/.test(name)) return 'state';
  return /\.(?:attn_|indexer)/.test(name) ? 'attention' : 'other';
}

/** 0 1 2 5 -> 0-2, 5-5. */
function ranges(numbers: readonly number[]): [number, number][] {
  const out: [number, number][] = [];
  for (const n of [...new Set(numbers)].sort((a, b) => a - b)) {
    const last = out.at(-1);
    if (last && last[1] === n - 1) last[1] = n;
    else out.push([n, n]);
  }
  return out;
}
