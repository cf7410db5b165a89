// What a template claims of itself, held against a plan: every claim with the planned figure beside it and a verdict. Nothing is
// planned here. A claim is right within a twentieth, since such texts round and write GB for GiB; a capacity, if it is reached.
import { gib, thousands } from '../../numbers.ts';
import { type ClaimFigure, type ClaimPreset, claimedValues, type DeploymentPreset } from '../../spec/deployment.ts';
import { GiB, KiB, MiB, sum } from '../../units.ts';
import type { PlanOutput } from '../output.ts';
import type { DevicePlan } from '../types.ts';

export interface JudgedClaim {
  what: string;
  claimed: string;
  /** null: nothing in a plan tells it. */
  planned: string | null;
  verdict: 'right' | 'wrong' | 'unverifiable';
  because: string;
}

/** `result.deployment` of a plan made with --deployment. */
export interface DeploymentReport {
  id: string;
  name: string;
  intent: string;
  corrects: string | null;
  changes: string[];
  claims: JudgedClaim[];
  sources: string[];
  notes: string[];
}

export function deploymentReport(
  preset: DeploymentPreset,
  output: Pick<PlanOutput, 'input' | 'result'>,
): DeploymentReport {
  const { id, name, intent, corrects = null, changes = [], claims = [], sources, notes = [] } = preset;
  return {
    id,
    name,
    intent,
    corrects,
    changes: [...changes],
    claims: claims.map((claim) => judge(claim, output)),
    sources: [...sources],
    notes: [...notes],
  };
}

/** Rounded figures, and KB, MB, GB read either way. */
const tolerance = 0.05;

function judge(claim: ClaimPreset, output: Pick<PlanOutput, 'input' | 'result'>): JudgedClaim {
  const { what, claimed, of, because } = claim;
  const planned = of === undefined ? undefined : figureOf(of, claim, output);
  if (of === undefined || planned === undefined) {
    return { what, claimed, planned: null, verdict: 'unverifiable', because };
  }
  const right = claimedValues(claimed, of).some((value) => agrees(of, value, planned));
  const text = textOf(of, planned, output);
  return { what, claimed, planned: text, verdict: right ? 'right' : 'wrong', because };
}

function agrees(of: ClaimFigure, claimed: number | boolean, planned: number | boolean): boolean {
  if (typeof claimed === 'boolean' || typeof planned === 'boolean') return claimed === planned;
  if (of === 'sequences') return planned >= claimed;
  if (of === 'kv-per-token') return claimed === planned;
  return Math.abs(claimed - planned) <= tolerance * planned;
}

/** undefined: this plan does not have the figure. */
function figureOf(
  of: ClaimFigure,
  { context, sequences }: ClaimPreset,
  { input, result }: Pick<PlanOutput, 'input' | 'result'>,
): number | boolean | undefined {
  const { kvCache, workload, verdict } = result;
  const devices = result.devices.filter(({ gpu }) => gpu !== 'host');
  const { tp, pp } = input.parallel;
  // Of several replicas one; llama.cpp keeps some of its tensors on the host.
  const holders = [
    ...devices.slice(0, result.buffers ? devices.length : tp * pp),
    ...result.devices.filter(({ gpu }) => gpu === 'host'),
  ];
  const most = (figure: (device: DevicePlan) => number): number => Math.max(...devices.map(figure));
  switch (of) {
    case 'weights':
      return sum(holders.map(({ weights }) => weights.tensorBytes)) || undefined;
    case 'weights-per-gpu':
      return most(({ weights }) => weights.tensorBytes) || undefined;
    case 'kv-per-token':
      return kvCache.bytesPerToken * tp * pp || undefined;
    case 'kv-cache': {
      // A window or a state does not grow with the context.
      if (kvCache.groups.some(({ kind }) => kind !== 'full-attention')) return undefined;
      const tokens = (context ?? workload?.context ?? 0) * (sequences ?? workload?.concurrency ?? 0);
      return kvCache.bytesPerToken * tp * pp * tokens || undefined;
    }
    case 'activations':
      return most((device) => bytesOf(device, 'activations')) || undefined;
    case 'used-per-gpu': {
      const held = most((device) => device.totalBytes - bytesOf(device, 'free'));
      return held > 0 ? held : undefined;
    }
    case 'sequences':
      return context === undefined || context === workload?.context ? workload?.maxConcurrencyAtContext : undefined;
    case 'fits':
      return verdict.fits && workload?.fits !== false;
  }
}

function bytesOf({ items }: DevicePlan, id: string): number {
  return items.find((item) => item.id === id)?.bytes ?? 0;
}

function textOf(of: ClaimFigure, planned: number | boolean, { result }: Pick<PlanOutput, 'result'>): string {
  if (typeof planned === 'boolean') return planned ? 'yes' : `no: ${result.verdict.reason ?? 'not the requirement'}`;
  if (of === 'sequences') return thousands(planned);
  if (of === 'kv-per-token') return `${thousands(planned)} bytes (${planned / KiB} KiB)`;
  return planned < 0.1 * GiB ? `${(planned / MiB).toFixed(1)} MiB` : gib(planned);
}
