// The plan for a pull request or a wiki: verdict, budget, capacity, requirement, what to try or how to run it. The figures of the
// JSON, nothing computed; whatever came from outside is escaped.
import { gib, percent, thousands, times } from '../numbers.ts';
import type { PlanOutput } from '../plan/output.ts';
import type { RequirementOutcome } from '../plan/require.ts';
import { nothingLoaded, type Plan } from '../plan/types.ts';
import {
  capacityText,
  deviceName,
  distinctDevices,
  engineText,
  itemNames,
  placeText,
  workloadText,
} from './devices.ts';
import { besideLines, bufferNames, bufferRows, fitText, offloadLines, placeName, speedLines } from './llama.ts';
import { paintFor } from './paint.ts';
import { visible } from './text.ts';

export function planMarkdown(output: PlanOutput, outcomes: readonly RequirementOutcome[], layouts = ''): string {
  const { input, result, diagnostics } = output;
  const parts = [
    `### ${escaped(input.model.name)} on ${escaped(placeText(input))}, ${engineText(input)}`,
    verdictText(result),
    nothingLoaded(result) ? '' : `${budget(result)}\n\n${result.buffers ? buffers(output) : capacity(result)}`,
    requirements(result, outcomes),
    result.buffers ? '' : paragraph(speedLines(result, paintFor(false), 1000)),
    matrix(result),
    list(
      'Try',
      result.suggestions.map(({ change, effect }) => `${escaped(change)}: ${escaped(effect)}`),
    ),
    result.verdict.fits ? fence(visible(result.command)) : '',
    layouts ? fence(layouts.trim().split('\n').map(visible).join('\n')) : '',
    list(
      'Notes',
      diagnostics.map(({ severity, code, message }) => `${severity} ${code}: ${escaped(message)}`),
    ),
  ];
  return `${parts.filter(Boolean).join('\n\n')}\n`;
}

function verdictText(result: Plan): string {
  const { verdict, workload } = result;
  if (verdict.fits) {
    const short = workload?.fits === false ? `, but ${escaped(verdict.reason ?? '')}` : '';
    return `**${short ? 'Starts' : 'Fits'}**: ${capacityText(result)}${short}.`;
  }
  const error = verdict.engineError ? `\n\n${fence(visible(verdict.engineError))}` : '';
  return `**Does not fit**: ${escaped(verdict.reason ?? '')}.${error}`;
}

function budget({ devices }: Plan): string {
  const rows = distinctDevices(devices).flatMap(({ device, ranks }) => {
    const items = device.items.filter((item) => item.bytes > 0 || item.id === 'free');
    return [
      ...items.map(({ id, bytes, confidence }) => {
        const share = percent(bytes / device.totalBytes);
        return `| ${deviceName(device, ranks)} | ${itemNames[id]} | ${gib(bytes)} | ${share} | ${confidence} |`;
      }),
      `| ${deviceName(device, ranks)} | **all** | ${gib(device.totalBytes)} | ${device.gpu === 'host' ? '' : `the engine may use ${gib(device.budgetBytes)}`} | |`,
    ];
  });
  return ['| GPU | item | size | share | confidence |', '|--:|---|--:|--:|---|', ...rows].join('\n');
}

/** llama.cpp: the buffers, how far the offload can go, the estimated speed. */
function buffers({ input, result }: PlanOutput): string {
  const { kinds, rows } = bufferRows(result);
  const paint = paintFor(false);
  const table = [
    `| MiB | ${kinds.map((kind) => bufferNames[kind]).join(' | ')} |`,
    `|---|${'--:|'.repeat(kinds.length)}`,
    ...rows.map(({ of, place, cells }) => `| ${of}${placeName(place, input.gpu.vendor)} | ${cells.join(' | ')} |`),
  ];
  const texts = [
    fitText(result) ?? '',
    besideLines(result, paint, 1000),
    offloadLines(result, paint, 1000),
    speedLines(result, paint, 1000),
  ];
  return [table.join('\n'), ...texts.filter(Boolean).map(paragraph)].join('\n\n');
}

function paragraph(text: string): string {
  return text.split('\n').map(escaped).join('  \n');
}

function capacity({ kvCache }: Plan): string {
  if (kvCache.groups.length === 0) return '';
  return `KV cache: ${gib(kvCache.bytes)}, ${thousands(kvCache.numBlocks)} blocks of ${kvCache.blockSize} tokens, ${thousands(kvCache.tokens)} tokens, ${times(kvCache.maxConcurrency)} sequences of ${thousands(kvCache.maxModelLen)}.`;
}

function requirements(result: Plan, outcomes: readonly RequirementOutcome[]): string {
  const text = workloadText(result);
  const asked = text ? [`${result.workload?.fits ? 'yes' : '**no**'}: ${text.asked}. ${text.inverses}`] : [];
  const required = outcomes.map(
    ({ requirement, holds, actual }) =>
      `${holds ? 'yes' : '**no**'}: ${code(requirement)} (it is ${escaped(String(actual))})`,
  );
  return list('Requirements', [...asked, ...required]);
}

function matrix({ matrix: shown }: Plan): string {
  if (!shown) return '';
  const { contexts, concurrencies, fits, maxConcurrency } = shown;
  const rows = contexts.map((context, i) => {
    const cells = fits[i]!.map((holds) => (holds ? 'yes' : '-'));
    return `| ${[thousands(context), ...cells, thousands(maxConcurrency[i]!)].join(' | ')} |`;
  });
  const head = `| context | ${concurrencies.join(' | ')} | at most |`;
  return [head, `|${'--:|'.repeat(concurrencies.length + 2)}`, ...rows].join('\n');
}

function list(title: string, items: readonly string[]): string {
  return items.length > 0 ? [`**${title}**`, '', ...items.map((item) => `- ${item}`)].join('\n') : '';
}

export function escaped(text: string): string {
  return visible(text).replace(/[|<>`*_[\]\\]/g, (c) => `\\${c}`);
}

/** A fence longer than any run of backticks inside. */
function fence(text: string): string {
  const marks = '`'.repeat(Math.max(3, ...[...text.matchAll(/`+/g)].map(([run]) => run.length + 1)));
  return `${marks}\n${text}\n${marks}`;
}

function code(text: string): string {
  return text.includes('`') ? escaped(text) : `\`${visible(text)}\``;
}
