// A mixed-precision recipe for a person: what it claims, types by role and layer range, and the command or the file that makes it. 80
// columns, readable without colour. It formats a Recipe and computes nothing.
import { gib, smallGib, thousands } from '../numbers.ts';
import { layerWords } from '../plan/recipe/layers.ts';
import { type QuantizeFiles, quantizeCommand } from '../plan/recipe/llama-quantize.ts';
import { compressorYaml } from '../plan/recipe/llm-compressor.ts';
import type { Recipe, RecipeGroup } from '../plan/recipe/types.ts';
import { MiB } from '../units.ts';
import { grid } from './grid.ts';
import { type Paint, paintFor } from './paint.ts';
import { visible, wrap } from './text.ts';

export interface RecipeStyle {
  colour: boolean;
  columns: number;
  /** e.g. the model's name. */
  title?: string;
  files?: QuantizeFiles;
}

export function recipeTable(recipe: Recipe, style: RecipeStyle): string {
  const paint = paintFor(style.colour);
  const width = Math.min(style.columns, 80);
  const parts = [
    style.title ? paint.bold(wrap(visible(style.title), width)) : '',
    claim(recipe, paint, width),
    groupTable(recipe.groups, width),
    lossText(recipe, paint, width),
    recipe.notes.map((note) => `- ${wrap(note, width - 2, 2)}`).join('\n'),
    makeIt(recipe, paint, style.files),
  ];
  return `${parts.filter(Boolean).join('\n\n')}\n`;
}

function makeIt(recipe: Recipe, paint: Paint, files: QuantizeFiles | undefined): string {
  if (!recipe.fits) return '';
  if (recipe.loss.value === 0) return 'Nothing has to be quantized: it fits in 16 bits.';
  return `${paint.bold(howTo(recipe))}\n${recipeText(recipe, files)}`;
}

/** The command for llama-quantize, the YAML for llm-compressor: what --recipe-out writes. */
export function recipeText(recipe: Recipe, files: QuantizeFiles = {}): string {
  return recipe.tool === 'llama-quantize' ? `${quantizeCommand(recipe, files)}\n` : compressorYaml(recipe);
}

function claim(recipe: Recipe, paint: Paint, width: number): string {
  const { fits, bytes, chargedBytes, budgetBytes, bitsPerWeight, shortfallBytes } = recipe;
  const host = bytes > chargedBytes ? `, ${smallGib(bytes - chargedBytes)} of it in host memory` : '';
  const size = `${thousands(bytes)} bytes (${gib(bytes)}${host}), ${bitsPerWeight.toFixed(2)} bits per weight`;
  if (fits) return `${paint.good('FITS')}  ${wrap(`${size}; the weights may take ${gib(budgetBytes)}`, width - 6, 2)}`;
  const text = `the smallest recipe takes ${size}: ${smallGib(shortfallBytes)} over the ${gib(budgetBytes)} that the weights may take`;
  return `${paint.bad('DOES NOT FIT')}  ${wrap(text, width - 14, 2)}`;
}

function groupTable(groups: readonly RecipeGroup[], width: number): string {
  const head = ['role', 'layers', 'type', 'tensors', 'MiB', 'bits'];
  const align = ['left', 'left', 'left', 'right', 'right', 'right'] as const;
  const rows = groups.map((group) => [
    group.role,
    layerWords(group.layers),
    group.fixed ? `${group.type}, kept` : group.type,
    thousands(group.tensors),
    (group.bytes / MiB).toFixed(1),
    ((group.bytes * 8) / group.parameters).toFixed(2),
  ]);
  const widths = head.map((word, i) => Math.max(word.length, ...rows.map((row) => (i === 1 ? 0 : row[i]!.length))));
  const rest = widths.reduce((sum, w, i) => sum + (i === 1 ? 0 : w), 0) + 2 * (head.length - 1);
  const room = Math.max(12, width - rest);
  return grid(
    head,
    align,
    rows.map((row) => row.map((cell, i) => (i === 1 ? wrap(cell, room) : cell))),
  );
}

function lossText(recipe: Recipe, paint: Paint, width: number): string {
  const { loss, compared } = recipe;
  const beside = compared
    ? `; ${compared.name.toUpperCase()} under the same budget takes ${gib(compared.bytes)} and is estimated at ${figure(compared.loss)}`
    : '';
  const text =
    `Estimated loss ${figure(loss.value)} (${loss.measure}), weighted by how much the published mixes spare each tensor` +
    `${beside}. Source: ${loss.source}.`;
  return paint.dim(wrap(text, width));
}

/** Three significant digits. */
function figure(value: number): string {
  return value === 0 ? '0' : value.toPrecision(3);
}

function howTo(recipe: Recipe): string {
  return recipe.tool === 'llama-quantize' ? 'Make it' : 'Recipe for llm-compressor (oneshot, recipe=...)';
}
