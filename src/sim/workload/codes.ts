// The diagnostics of workloads (VRAM600 to VRAM649) and what each means; the messages stand where they are given. Nothing is computed here.
export const workloadCodes = {
  VRAM601: 'the trace is empty: refused',
  VRAM602: 'the format of the trace is not known (binary, compressed, a pointer to the data, no header): refused',
  VRAM603: 'columns or keys are missing: refused, with what is missing and what was found',
  VRAM604: 'a line, a JSON value or a stretch of blank lines is longer than 16 MiB: refused with its line',
  VRAM605: 'a row is not JSON, not an object, or has too few columns: the row is rejected',
  VRAM606: 'a value is missing, negative, fractional, not a number or above 2^24 tokens: the row is rejected',
  VRAM607: 'more than half of the rows are bad, or none is left: refused',
  VRAM608: 'rows were not in order of time: sorted, equal times keep their order',
  VRAM609: 'rows that the trace marks as failed (BurstGPT: response 0), conversations without an answer: left out',
  VRAM610: 'an output of 0 tokens: raised to 1, since a prefill always gives one token',
  VRAM611: 'hash ids do not cover the prompt, or are more than it needs: the rest is private, the excess ignored',
  VRAM612: 'token counts were estimated from the length of texts',
  VRAM613: 'keys that are not known were ignored',
  VRAM614: 'the trace has no arrival times: a rate or a closed loop is needed',
  VRAM615: 'there is no such workload (preset, file or inline form)',
  VRAM616: 'an inline workload cannot be read',
  VRAM617: 'an option of the workload is out of range, or standard input is wanted twice',
  VRAM618: 'more rows or tokens than a simulation can hold: refused',
  VRAM619: 'a follow-up turn whose earlier turn is not in the trace: it stands alone',
} as const;
export type WorkloadCode = keyof typeof workloadCodes;
