// The envelope of `vram quantize`: what was asked, resolved, and the answer.

import type { Envelope } from './output.ts';
import type { QuantizeResult } from './quantize/types.ts';

export interface QuantizeInputEcho {
  model: {
    id: string;
    name: string;
    hfId: string | null;
    architecture: string;
    parameters: number;
    /** How the maker stores it: a dtype, or a scheme. */
    published: string;
  };
  gpu: {
    id: string;
    name: string;
    vendor: string;
    count: number;
    cudaTotalBytes: number;
    computeCapability: string | null;
  };
  engines: { id: string; name: string; version: string }[];
  parallel: { tp: number; pp: number; dp: number };
}

export type QuantizeOutput = Envelope<'quantize', QuantizeInputEcho, QuantizeResult>;
