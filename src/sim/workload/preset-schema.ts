// The shape of workload files as a zod schema: strict keys; whether the fields make a workload is readSpec's to say.
import * as z from 'zod';
import { presetFields, type WorkloadPreset } from './preset.ts';
import { examineSpec, fieldHelp } from './spec.ts';

const text = z
  .string()
  .min(1)
  .max(2000)
  .refine(
    (value) => !/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/.test(value),
    'contains control characters',
  );
const texts = z.array(text).max(100);
const field = z.union([z.number(), text]);
const fields = Object.fromEntries(
  Object.entries(fieldHelp).map(([name, help]) => [name, field.optional().describe(help)]),
);

/** A user's own file; it needs neither id nor sources. */
export const workloadSchema = z
  .strictObject({
    id: text.regex(/^[a-z0-9][a-z0-9._-]*$/, 'an id has lower-case letters, digits, dots and dashes').optional(),
    name: text.max(200).optional(),
    description: text.optional(),
    ...fields,
    assumed: texts.optional(),
    sources: texts.optional(),
    notes: texts.optional(),
  })
  .superRefine((value, context) => {
    for (const { field: name, text: message, hint } of examineSpec(presetFields(value as WorkloadPreset)).problems) {
      const path = name === undefined ? [] : [name];
      context.addIssue({ code: 'custom', path, message: hint === undefined ? message : `${message} (${hint})` });
    }
  });

/** A shipped one says where its figures come from and which it assumes. */
export const workloadPresetSchema = workloadSchema.refine(
  (value) =>
    value.id !== undefined && value.name !== undefined && value.sources !== undefined && value.assumed !== undefined,
  'a shipped workload has an id, a name, sources and what it assumes',
);
