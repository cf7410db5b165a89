// `vram schema <what>`: the JSON Schema of an output or of an input file, from the same zod definitions that validate them.
import { z } from 'zod';
import { inputError } from '../diagnostics.ts';
import type { Io } from '../io.ts';
import { compareOutputSchema } from '../plan/compare/schema.ts';
import { quantizeOutputSchema } from '../plan/quantize-schema.ts';
import { planOutputSchema } from '../plan/schema.ts';
import { sharedOutputSchema } from '../plan/shared-schema.ts';
import { poolOutputSchema } from '../plan/sharing/schema.ts';
import { simulateOutputSchema } from '../plan/simulate-schema.ts';
import { workloadSchema } from '../sim/workload/preset-schema.ts';
import { loadingSchema } from '../spec/loading-schema.ts';
import { poolSchema } from '../spec/pool-schema.ts';
import { deploymentSchema, gpuSchema, modelSchema, nodeSchema, scenarioSchema } from '../spec/schema.ts';
import { sharingSchema } from '../spec/sharing-schema.ts';
import { makeCommand, parseCommand } from './command.ts';

const schemas: Readonly<Record<string, z.ZodType>> = {
  plan: planOutputSchema,
  'plan-pool': poolOutputSchema,
  simulate: simulateOutputSchema,
  'simulate-pool': sharedOutputSchema,
  compare: compareOutputSchema,
  quantize: quantizeOutputSchema,
  model: modelSchema,
  gpu: gpuSchema,
  node: nodeSchema,
  workload: workloadSchema,
  deployment: deploymentSchema,
  pool: poolSchema,
  scenario: scenarioSchema,
  sharing: sharingSchema,
  loading: loadingSchema,
};

export async function run(argv: readonly string[], io: Io): Promise<number> {
  const names = Object.keys(schemas).join(', ');
  const command = makeCommand(
    'schema',
    'The JSON Schema of an output or an input file.',
    ['vram schema plan > plan.schema.json', 'vram schema model'],
    io,
  ).argument('<what>', names);
  if (!(await parseCommand(command, argv))) return 0;
  const what = command.args[0]!;
  const schema = Object.hasOwn(schemas, what) ? schemas[what] : undefined;
  if (!schema) throw inputError('VRAM158', `there is no schema ${JSON.stringify(what)}`, { hint: `schemas: ${names}` });
  io.out(`${JSON.stringify(z.toJSONSchema(schema, { unrepresentable: 'any' }), null, 2)}\n`);
  return 0;
}
