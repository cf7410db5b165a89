// What a contiguous system reserves for one sequence when it is admitted, in token slots, before the allocator rounds. The rules are
// the baselines of the PagedAttention paper (Kwon et al., SOSP 2023, section 6.1) and two that know what a server knows. A rule of
// the paper that knows the future takes it from a TrueOutput function: whoever builds the experiment passes it in, nobody else can.
import type { SimRequest } from '../types.ts';

/** The tokens that a request will really generate: what no scheduler may know. Only experiments pass one. */
export type TrueOutput = (request: SimRequest) => number;

/** Slots to reserve for a sequence of this request; never more than the model's length. */
export type Reservation = (request: SimRequest, maxModelLen: number) => number;

/** Orca (Max): the model's maximum length for everybody. */
export const reserveMaximum: Reservation = (_, maxModelLen) => maxModelLen;

/** What the server knows: the prompt and the request's max_tokens. */
export const reserveMaxTokens: Reservation = (request, maxModelLen) =>
  Math.min(request.promptTokens + request.maxTokens, maxModelLen);

/** Orca (Pow2): prompt + the next power of two of the true output (25 -> 32), so at most twice of what is needed for it. */
export function reserveNextPowerOfTwo(trueOutput: TrueOutput): Reservation {
  return (request, maxModelLen) => {
    const output = 2 ** Math.ceil(Math.log2(Math.max(1, trueOutput(request))));
    return Math.min(request.promptTokens + output, maxModelLen);
  };
}

/** Orca (Oracle): prompt + the true output. */
export function reserveTrueLength(trueOutput: TrueOutput): Reservation {
  return (request, maxModelLen) => Math.min(request.promptTokens + trueOutput(request), maxModelLen);
}
