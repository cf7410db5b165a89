// What can be wrong and how it is said. User input yields collected diagnostics with a stable code; the environment yields
// a VramError; programmer errors assert (assert.ts). Exit codes: 2 for input, 3 for environment, 70 for our own faults.
export const severities = ['error', 'warning', 'note'] as const;
export type Severity = (typeof severities)[number];

export interface Diagnostic {
  severity: Severity;
  /** Stable code, VRAM1xx input, VRAM2xx model, VRAM3xx GPU, VRAM4xx engine options, VRAM5xx plan pitfalls, VRAM6xx workloads. */
  code: string;
  message: string;
  /** What to do about it. */
  hint?: string;
  /** Where: file:line:column, an option, or a JSON path. */
  path?: string;
}

/** Bad input: one or more error diagnostics, exit code 2. */
export class InputError extends Error {
  override name = 'InputError';
  constructor(readonly diagnostics: readonly Diagnostic[]) {
    super(diagnostics.map((d) => d.message).join('\n'));
  }
}

/** Network, permission or device trouble: exit code 3. */
export class VramError extends Error {
  override name = 'VramError';
  constructor(
    readonly code: string,
    message: string,
    readonly hint?: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}

/** By name, not by class: each command is a bundle of its own and brings its own copy of the classes. */
export function isInputError(error: unknown): error is InputError {
  return error instanceof Error && error.name === 'InputError';
}

export function isVramError(error: unknown): error is VramError {
  return error instanceof Error && error.name === 'VramError';
}

export function inputError(code: string, message: string, extra: { hint?: string; path?: string } = {}): InputError {
  return new InputError([{ severity: 'error', code, message, ...extra }]);
}
