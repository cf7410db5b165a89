// The envelope that every command's JSON comes in, as a zod schema: what was asked, the answer, the diagnostics. output.ts is the same
// shape for the compiler.
import { z } from 'zod';
import { severities } from '../diagnostics.ts';

const diagnostic = z.strictObject({
  severity: z.enum(severities),
  code: z.string().regex(/^VRAM\d{3}$/),
  message: z.string(),
  hint: z.string().optional(),
  path: z.string().optional(),
});

export function envelopeSchema<Command extends string, Input extends z.ZodType, Result extends z.ZodType>(
  command: Command,
  input: Input,
  result: Result,
) {
  return z.strictObject({
    schemaVersion: z.literal(1),
    tool: z.strictObject({ name: z.literal('vram'), version: z.string() }),
    command: z.literal(command),
    input,
    result,
    diagnostics: z.array(diagnostic),
  });
}
