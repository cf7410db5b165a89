// `vram plan --pool FILE`: what several models on the same GPUs get under each policy. A bundle of its own, loaded when the option is given.
import type { Command } from 'commander';
import { type Diagnostic, inputError } from '../diagnostics.ts';
import type { Io } from '../io.ts';
import { printable } from '../load/names.ts';
import { resolvePool } from '../load/pool.ts';
import { envelope } from '../plan/output.ts';
import { checkRequirement, parseRequirement, type RequirementOutcome } from '../plan/require.ts';
import { poolAllocators } from '../plan/sharing/allocator-pool.ts';
import { type PoolBudgets, planPool } from '../plan/sharing/budget.ts';
import type { PoolOutput } from '../plan/sharing/output.ts';
import { allocatorMarkdown, allocatorSections } from '../render/sharing-allocator.ts';
import { poolPlanText } from '../render/sharing-plan.ts';
import { poolCsv, poolExplanation, poolMarkdown } from '../render/sharing-plan-forms.ts';
import type { TableStyle } from '../render/table.ts';
import type { PoolSpec } from '../spec/pool.ts';
import type { SharingPolicy } from '../spec/sharing.ts';
import { dataText, formNamed, styleFor, tellDiagnostics, tellFailedRequirements, writeOutput } from './output.ts';
import { completeRequest, type PlanArguments } from './plan-request.ts';
import { memberEcho } from './pool-echo.ts';
import { type OpenPool, openPool, poolInput, poolPolicies } from './pool-open.ts';
import { meanLoad, poolWorkloads } from './pool-workloads.ts';

const forms = ['table', 'json', 'yaml', 'markdown', 'csv'] as const;
type Form = (typeof forms)[number];

export async function planPoolFile(file: string, command: Command, args: PlanArguments, io: Io): Promise<number> {
  checkAlone(command, args);
  const requirements = args.require.map(parseRequirement);
  const form = formNamed(args.format, forms);
  const allocator = command.opts<{ allocator?: boolean }>().allocator === true;
  const output = await planned(await resolvePool(file, { env: io.env }), allocator, io);
  const outcomes = requirements.map((requirement) => checkRequirement(requirement, output.result));
  const style = styleFor(args.output, io);
  await writeOutput(await rendered(output, { form, outcomes, style, explain: args.explain }), args.output, io);
  if (form === 'table' || form === 'csv') tellDiagnostics(output.diagnostics, io);
  tellFailedRequirements(outcomes, io);
  const chosen = output.result.policies[0]!;
  return (chosen.fits || chosen.takesTurns) && outcomes.every(({ holds }) => holds) ? 0 : 1;
}

/** What goes with a pool file; it says everything else itself. */
const beside: ReadonlySet<string> = new Set(['pool', 'allocator', 'require', 'format', 'json', 'output', 'explain']);

function checkAlone(command: Command, { commandWords }: PlanArguments): void {
  const given = command.options.find(
    (option) => !beside.has(option.attributeName()) && command.getOptionValueSource(option.attributeName()) === 'cli',
  );
  if (!given && commandWords === undefined) return;
  const name = given?.long ?? 'an existing command';
  throw inputError('VRAM736', `${name} and --pool both say what is planned`, {
    hint: 'the pool file names models, GPUs and options (vram schema pool); beside it: --allocator, --require, --explain, --format, --json, --output',
    path: given?.long ?? '--pool',
  });
}

async function planned(spec: PoolSpec, allocator: boolean, io: Io): Promise<PoolOutput> {
  const pool = await openPool(spec, io);
  const { policies, diagnostics } = await policiesOf(pool);
  const needsLoads = policies.some((policy) => policy.kind === 'static' && policy.split === 'load');
  const loads = needsLoads ? (await poolWorkloads(spec, io)).map(meanLoad) : [];
  const input = poolInput(pool, loads);
  const budgets = planPool(input, policies);
  if (allocator) budgets.plan.allocator = poolAllocators(input);
  const engine = withCommands(pool, budgets);
  const all = [...pool.diagnostics, ...diagnostics, ...engine, ...notes(pool, policies), ...alone(budgets)];
  return envelope('plan', echo(pool, policies), budgets.plan, all);
}

/** Every policy there is unless the file says which; the one by load only where every model has a workload. */
async function policiesOf({ spec }: OpenPool): Promise<{ policies: SharingPolicy[]; diagnostics: Diagnostic[] }> {
  const all = await poolPolicies(spec, spec.compare === 'all' || spec.compare.length === 0);
  const without = spec.models.find(({ workload }) => workload === undefined);
  if (!without) return { policies: all, diagnostics: [] };
  const byLoad = (policy: SharingPolicy): boolean => policy.kind === 'static' && policy.split === 'load';
  const chosen = all[0]!;
  if (byLoad(chosen)) {
    throw inputError('VRAM735', `${chosen.id} divides by load, and ${printable(without.id, 40)} has no workload`, {
      hint: 'give every model a workload, or take static or static-weights',
      path: `${spec.file}: policy`,
    });
  }
  const left = all.filter(byLoad).map(({ id }) => id);
  if (left.length === 0) return { policies: all, diagnostics: [] };
  const message = `${left.join(', ')} divides by load and is left out: ${printable(without.id, 40)} has no workload`;
  return {
    policies: all.filter((policy) => !byLoad(policy)),
    diagnostics: [{ severity: 'note', code: 'VRAM737', message, path: spec.file }],
  };
}

/** The command of every engine under static policies; what its flags say of its release. */
function withCommands({ members, gpus }: OpenPool, { plan, starts }: PoolBudgets): Diagnostic[] {
  const diagnostics: Diagnostic[] = [];
  let told = false;
  for (const [i, { policy, engines }] of starts.entries()) {
    if (policy.kind !== 'static') continue;
    for (const [at, { request, planned: engine }] of engines.entries()) {
      const model = plan.policies[i]!.models[at]!;
      if (!model.fits) continue;
      const { asked, member } = members[at]!;
      const given = { ...asked.given, gpuMemoryUtilization: engine.resolved.gpuMemoryUtilization };
      const output = completeRequest(
        { ...asked, given, diagnostics: [] },
        { request, count: member.devices.length },
        false,
      );
      const where = gpus.length > 1 ? `CUDA_VISIBLE_DEVICES=${member.devices.join(',')} ` : '';
      model.flags = output.result.flags;
      model.command = `${where}${output.result.command} --port ${8000 + at}`;
      if (!told)
        diagnostics.push(
          ...output.diagnostics
            .filter(({ code }) => /^VRAM[24]/.test(code))
            .map((one) => ({ ...one, message: `${printable(member.id, 40)}: ${one.message}` })),
        );
    }
    told = true;
  }
  return diagnostics;
}

function notes({ members, spec, loadings }: OpenPool, policies: readonly SharingPolicy[]): Diagnostic[] {
  const diagnostics: Diagnostic[] = [];
  const note = (code: string, message: string, hint: string): void => {
    diagnostics.push({ severity: 'note', code, message, hint, path: spec.file });
  };
  const [first, ...others] = loadings.map(({ id }) => printable(id, 40));
  if (first !== undefined && others.length > 0)
    note(
      'VRAM748',
      `planned with models that come and go as ${first} loads them, the first of ${others.length + 1} behaviours`,
      'vram simulate --pool runs and compares all of them',
    );
  const stated = members
    .filter(({ member }) => member.utilization !== undefined)
    .map(({ member }) => printable(member.id, 40));
  if (stated.length > 0 && policies.some(({ kind }) => kind !== 'static'))
    note(
      'VRAM738',
      `gpu-memory-utilization of ${stated.join(', ')} counts for static policies alone`,
      'maxMemory bounds what a model takes of a pool',
    );
  if (members.some(({ member }) => member.shared.length > 0))
    note(
      'VRAM739',
      'weights in common count once under policies that share memory',
      'no release of vLLM shares weights between processes: adapters on one engine (lora) do',
    );
  return diagnostics;
}

function alone({ plan: { allocator } }: PoolBudgets): Diagnostic[] {
  if (allocator?.length !== 0) return [];
  const message = 'no GPU has two models: nothing comes or goes that an allocator could scatter';
  return [{ severity: 'note', code: 'VRAM743', message, path: '--allocator' }];
}

function echo({ spec, gpus, members, loadings }: OpenPool, policies: readonly SharingPolicy[]): PoolOutput['input'] {
  const names = [...new Set(gpus.map(({ name }) => name))].join(' + ');
  return {
    pool: {
      file: spec.file,
      name: spec.name,
      policy: policies[0]!.id,
      policies: policies.map(({ id }) => id),
      loading: loadings[0]?.id ?? null,
    },
    gpu: { name: names, count: gpus.length, totalBytes: gpus[0]!.cudaTotalBytes },
    models: members.map(memberEcho),
  };
}

interface Rendering {
  form: Form;
  outcomes: readonly RequirementOutcome[];
  style: TableStyle;
  explain: boolean;
}

async function rendered(output: PoolOutput, { form, outcomes, style, explain }: Rendering): Promise<string> {
  switch (form) {
    case 'table':
      return (
        poolPlanText(output, style) +
        allocatorSections(output.result.allocator ?? [], style) +
        (explain ? `\n${poolExplanation(output, style)}` : '')
      );
    case 'json':
    case 'yaml':
      return dataText(form, output);
    case 'markdown':
      return (
        poolMarkdown(output, outcomes) +
        allocatorMarkdown(output.result.allocator ?? []) +
        (explain ? `\n\`\`\`\n${poolExplanation(output, { colour: false, columns: 80 })}\`\`\`\n` : '')
      );
    case 'csv':
      return poolCsv(output);
  }
}
