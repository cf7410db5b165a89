// A comparison as one HTML file that sorts, filters and draws the Pareto front in the browser, and works offline. The page may run
// nothing but the script written here: a content security policy names its hash and allows no address. Every word from outside is
// escaped, in the markup as in the data.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { assert } from '../assert.ts';
import type { CompareOutput } from '../plan/compare/output.ts';
import { pageData } from './compare-data.ts';
import { items, section } from './html.ts';
import { escapeXml } from './text.ts';

/** `columns`: keys of those that the table shows at first, instead of the usual ones. */
export async function compareHtml(output: CompareOutput, columns?: readonly string[]): Promise<string> {
  const data = pageData(output, columns);
  const script = clientFile('compare-client.js');
  const style = clientFile('compare-client.css');
  const policy = [
    "default-src 'none'",
    `script-src ${hashOf(script)}`,
    `style-src ${hashOf(style)}`,
    "base-uri 'none'",
    "form-action 'none'",
  ];
  const title = escapeXml(data.title);
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${policy.join('; ')}">
<meta name="color-scheme" content="light dark">
<title>vram compare: ${title}</title>
<style>${style}</style></head><body>
<h1>${title}</h1>
${asked(output.input)}
<noscript><p class="bad">This page sorts, filters and draws with a script, and scripts are off.</p></noscript>
<main id="app"></main>
${section('Notes', items(output.diagnostics.map(({ severity, code, message }) => escapeXml(`${severity} ${code}: ${message}`))))}
<footer class="dim">vram ${escapeXml(output.tool.version)}</footer>
<script type="application/json" id="data">${scriptJson(data)}</script>
<script>${script}</script>
</body></html>
`;
}

/** JSON that cannot end the script element that holds it, nor open a comment in it. */
function scriptJson(data: unknown): string {
  return JSON.stringify(data).replace(
    /[<>&\u2028\u2029]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** What was asked, as far as it was said: one line per input. */
function asked(input: Readonly<Record<string, unknown>>): string {
  const lines = Object.entries(input)
    .map(([name, value]) => [wordsOf(name), inputText(value)] as const)
    .filter(([, text]) => text !== '')
    .map(([name, text]) => `<div><dt>${escapeXml(name)}</dt> <dd>${escapeXml(text)}</dd></div>`);
  return lines.length > 0 ? `<dl>${lines.join('')}</dl>` : '';
}

/** "outputTokens" -> "output tokens" */
function wordsOf(name: string): string {
  return name.replace(/(?<=[a-z])[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

/** A list by commas; of an object, its names and values: "tp 2 pp 1". */
function inputText(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (Array.isArray(value)) return listText(value.map(inputText).filter(Boolean));
  if (typeof value !== 'object') return String(value);
  return Object.entries(value)
    .map(([name, inner]) => [name, inputText(inner)] as const)
    .filter(([, text]) => text !== '')
    .map(([name, text]) => `${name} ${text}`)
    .join(' ');
}

/** Whole catalogues are counted: their names stand in the rows. */
function listText(words: readonly string[]): string {
  const shown = words.length > mostWords + 1 ? words.slice(0, mostWords) : words;
  const more = words.length - shown.length;
  return `${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

const mostWords = 12;

function hashOf(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}

const files = new Map<string, string>();

/** From dist/, as seen from a bundle there or from src/render. */
function clientFile(name: string): string {
  let text = files.get(name);
  if (text === undefined) {
    const url = [`./${name}`, `../../dist/${name}`]
      .map((path) => new URL(path, import.meta.url))
      .find((candidate) => existsSync(candidate));
    assert(url !== undefined, `dist/${name} is missing: run npm run build`);
    text = readFileSync(url, 'utf8').trim();
    files.set(name, text);
  }
  return text;
}
