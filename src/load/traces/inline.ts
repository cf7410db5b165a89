// Inline workloads: a kind of arrivals or a preset, a colon, then fields of spec.ts as key=value.
import { type Diagnostic, InputError, inputError } from '../../diagnostics.ts';
import { arrivalKinds } from '../../sim/workload/arrivals.ts';
import { presetFields, type WorkloadPreset } from '../../sim/workload/preset.ts';
import { fieldHelp, type SyntheticFields } from '../../sim/workload/spec.ts';
import { nearestNames, printable } from '../names.ts';
import { loadPresets } from '../presets.ts';
import type { Base, Given } from './base.ts';
import type { TraceContext } from './source.ts';
import { synthetic } from './synthetic.ts';

export async function inlineWorkload(
  head: string,
  rest: string,
  options: Given,
  seed: number,
  context: TraceContext,
): Promise<Base> {
  const isArrivals = (arrivalKinds as readonly string[]).includes(head);
  const preset = isArrivals ? undefined : findPreset(head);
  if (!isArrivals && !preset) {
    const near = nearestNames(head, [...arrivalKinds, ...loadPresets('workloads').map(({ id }) => id)], 1)[0];
    throw inputError('VRAM615', `"${printable(head)}" is neither a workload nor a kind of arrivals`, {
      hint: near ? `did you mean ${near}?` : `arrivals: ${arrivalKinds.join(', ')}; vram list workloads`,
      path: options.option,
    });
  }
  const own = inlineFields(rest, options.option);
  // Other arrivals than the preset's bring their own figures.
  const inherited = preset ? presetFields(preset) : { arrivals: head };
  if (preset && own.arrivals !== undefined) for (const name of arrivalFields) delete inherited[name];
  if (own.lengths !== undefined) {
    delete inherited.input;
    delete inherited.output;
  }
  const title = preset ? preset.name : `${head} arrivals`;
  return synthetic(title, { ...inherited, ...own }, options, seed, context);
}

const arrivalFields = ['rate', 'cv', 'from', 'to', 'seconds', 'concurrency'] as const;

/** key=value, separated by commas that stand outside parentheses; keys with dashes or in camelCase. */
function inlineFields(text: string, option: string): SyntheticFields {
  const fields: Record<string, string> = {};
  const problems: Diagnostic[] = [];
  const refuse = (message: string, hint?: string) => {
    problems.push({ severity: 'error', code: 'VRAM616', message, ...(hint ? { hint } : {}), path: option });
  };
  for (const part of text.split(/,(?![^()]*\))/)) {
    const at = part.indexOf('=');
    const key = part
      .slice(0, Math.max(at, 0))
      .trim()
      .replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
    const name = key === 'beams' ? 'beamWidth' : key;
    if (at < 0) refuse(`"${printable(part.trim(), 60)}" is no key=value`, 'e.g. poisson:rate=2,input=512,output=128');
    else if (!Object.hasOwn(fieldHelp, name)) {
      const near = nearestNames(name, Object.keys(fieldHelp), 1)[0];
      refuse(
        `a workload has no "${printable(key, 60)}"`,
        near ? `did you mean ${near}?` : `fields: ${Object.keys(fieldHelp).join(', ')}`,
      );
    } else if (fields[name] !== undefined) refuse(`"${printable(key, 60)}" is given twice`);
    else fields[name] = part.slice(at + 1).trim();
  }
  if (problems.length > 0) throw new InputError(problems);
  return fields;
}

export function findPreset(id: string): WorkloadPreset | undefined {
  return loadPresets('workloads').find((preset) => preset.id === id.toLowerCase());
}
