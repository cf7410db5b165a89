// A workload as a preset or a user's YAML file states it: the fields of a synthetic spec, with the sources of its figures and
// the ones that are assumed.
import type { SyntheticFields } from './spec.ts';

export interface WorkloadPreset extends SyntheticFields {
  id: string;
  name: string;
  description?: string;
  /** Which figures no source gives, and why they are what they are. */
  assumed?: string[];
  sources?: string[];
  notes?: string[];
}

const words = new Set(['id', 'name', 'description', 'assumed', 'sources', 'notes']);

export function presetFields(preset: WorkloadPreset): SyntheticFields {
  return Object.fromEntries(Object.entries(preset).filter(([key]) => !words.has(key))) as SyntheticFields;
}
