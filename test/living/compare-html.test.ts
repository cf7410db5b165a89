// The page of a comparison in a real browser, opened as a file: what it sorts, filters and draws is held against the rows themselves,
// the front against every pair of rows, and names that try to break out of the page against what they look like.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { CompareColumn, CompareOutput, CompareRow } from '../../src/plan/compare/output.ts';
import { compareHtml } from '../../src/render/compare-html.ts';
import { visible } from '../../src/render/text.ts';
import { rawControl } from '../cli/run.ts';
import { browserPath, startBrowser } from '../helpers/browser.ts';
import { comparison, comparisonColumns, comparisonOf } from '../helpers/comparison.ts';

const executable = browserPath();
if (!executable) console.warn('The page of a comparison is not tested: no Chromium found (CHROME_PATH names one).');

const folder = mkdtempSync(join(tmpdir(), 'vram-page-'));
let browser: Browser;
let shared: Page | undefined;
/** Errors, warnings, requests and dialogs of every page opened: there are never any. */
const troubles: string[] = [];
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe.skipIf(!executable)('the page of a comparison', () => {
  beforeAll(async () => {
    browser = await startBrowser(executable!);
  });
  afterAll(() => browser.close());
  afterEach(async () => {
    const others = browser.contexts().filter((context) => context !== shared?.context());
    await Promise.all(others.map((context) => context.close()));
    expect(troubles.splice(0)).toEqual([]);
  });

  const asked = comparison(240);
  const { rows } = asked.result;

  it('sorts by any column, by mouse and by keyboard', async () => {
    const page = await openShared(asked);
    const heading = page.locator('th[data-key="price.perHour"]');
    expect(await heading.getAttribute('aria-sort')).toBe('none');
    await heading.locator('button').click();
    expect(await heading.getAttribute('aria-sort')).toBe('ascending');
    const prices = (await shownRows(page)).map((row) => rows[row]!.price as { perHour: number | null });
    const known = prices.map(({ perHour }) => perHour).filter((price) => price !== null);
    expect(known).toEqual([...known].sort((a, b) => a - b));
    await heading.locator('button').press('Enter');
    expect(await heading.getAttribute('aria-sort')).toBe('descending');
    const most = Math.max(...rows.map((row) => read(row, 'price.perHour') ?? 0));
    expect(await cell(page, 0, 'price.perHour')).toBe(most.toFixed(2));
    await heading.locator('button').press(' ');
    expect(await heading.getAttribute('aria-sort')).toBe('none');
    expect(await shownRows(page)).toEqual(rows.map((_, i) => i).slice(0, 100));
  });

  it('keeps rows without a value last, whichever way', async () => {
    const page = await openShared(asked);
    const button = page.locator('th[data-key="price.perHour"] button');
    for (let way = 0; way < 2; way++) {
      await button.click();
      await page.getByRole('button', { name: 'Next' }).click();
      await page.getByRole('button', { name: 'Next' }).click();
      const last = (await shownRows(page)).at(-1)!;
      expect(read(rows[last]!, 'price.perHour')).toBeNull();
    }
  });

  it('filters by words, switches, choices and conditions, and counts what is left', async () => {
    const page = await openShared(asked);
    await expectShown(page, rows, () => true);
    await page.fill('#words', 'LLAMA h100');
    const words = (row: CompareRow) => `${row.model} ${row.engine}`.includes('llama') && row.gpu === 'h100-sxm';
    await expectShown(page, rows, words);
    await page.check('#fits-only');
    await expectShown(page, rows, (row) => words(row) && row.fits === true);
    await page.getByRole('button', { name: 'Reset' }).click();
    await expectShown(page, rows, () => true);
    await page.locator('#filters summary').click();
    const choices = page.locator('fieldset[data-key="gpu"]');
    await choices.getByLabel('h200').check();
    await choices.getByLabel('l40s').check();
    const chosen = (row: CompareRow) => row.gpu === 'h200' || row.gpu === 'l40s';
    await expectShown(page, rows, chosen);
    const gib = page.locator('[data-key="weights.loadedBytes"] input');
    await gib.fill('20..60.5');
    const within = (row: CompareRow) => between(read(row, 'weights.loadedBytes')! / 2 ** 30, 20, 60.5);
    await expectShown(page, rows, (row) => chosen(row) && within(row));
    await gib.fill('20..x');
    expect(await gib.getAttribute('aria-invalid')).toBe('true');
    await expectShown(page, rows, chosen);
    await gib.fill('');
    await page.locator('[data-key="gpus"] input').fill('1, >2 <8');
    await expectShown(page, rows, (row) => chosen(row) && (row.gpus === 1 || row.gpus === 4));
  });

  it('hides columns and marks estimates', async () => {
    const page = await openShared(asked);
    expect(await page.locator('th[data-key="speed.decodeTokensPerSecond"] small').innerText()).toContain('estimate');
    expect(await page.locator('th[data-key="weights.loadedBytes"] small').innerText()).toBe('GiB');
    await page.locator('#columns summary').click();
    await page.locator('#columns').getByLabel('weights').uncheck();
    expect(await page.locator('th[data-key="weights.loadedBytes"]').count()).toBe(0);
  });

  it('draws the front as all pairs of rows give it, for the axes chosen and the rows shown', async () => {
    const page = await openShared(asked);
    const left = rows.map((row) => (row.engine.includes('vllm') ? row : null));
    for (const [x, y] of [
      ['price.perHour', 'workload.maxConcurrencyAtContext'],
      ['price.perMillionOutputTokens', 'speed.decodeTokensPerSecond'],
      ['kvCache.tokens', 'verdict.headroomBytes'],
      ['quality.relativeLoss', 'weights.loadedBytes'],
    ] as const) {
      await choose(page, '#axis-x', x);
      await choose(page, '#axis-y', y);
      await page.fill('#words', '');
      await expectFront(page, rows, [x, y]);
      await page.fill('#words', 'vllm');
      await expectFront(page, left, [x, y]);
    }
    await page.check('#front-only');
    expect(await shownRows(page)).toEqual(bruteFront(left, ['quality.relativeLoss', 'weights.loadedBytes']));
  });

  it('says where there is no better direction', async () => {
    const page = await openShared(asked);
    await choose(page, '#axis-x', 'parallel.tp');
    expect(await page.locator('section[aria-label="Chart"]').innerText()).toContain('No Pareto front: of TP');
    expect(await page.locator('#front-only').isDisabled()).toBe(true);
  });

  it('starts with the columns that the front was asked for', async () => {
    const columns = ['quality.relativeLoss', 'verdict.headroomBytes'];
    const front = bruteFront(rows, columns);
    const page = await open({ ...asked, result: { ...asked.result, pareto: { columns, rows: front } } });
    expect(await frontRows(page)).toEqual(new Set(front));
    await page.locator('#filters summary').click();
    await page.locator('fieldset[data-key="pareto"]').getByLabel('yes').check();
    expect(await shownRows(page)).toEqual(front);
  });

  it('names the deployment under the pointer, and a click on it marks its row', async () => {
    const page = await openShared(asked);
    const [row] = await frontRows(page);
    const [left, top] = (await page.evaluate(`document.querySelector('.chart').pixelOf(${row})`)) as [number, number];
    const chart = (await page.locator('.chart').boundingBox())!;
    await page.mouse.move(chart.x + left, chart.y + top);
    const { model, gpu } = rows[row!]!;
    expect(await page.locator('.tip').innerText()).toMatch(new RegExp(`^${model} on (\\d+x )?${gpu}, `));
    await page.mouse.click(chart.x + left, chart.y + top);
    const marked = Number(await page.locator('tr[aria-current="true"]').getAttribute('data-row'));
    expect(await frontRows(page)).toContain(marked);
    expect(await page.getByLabel('Marked deployment').innerText()).toContain(rows[marked]!.model);
    await page.getByRole('button', { name: 'Unmark' }).click();
    expect(await page.locator('tr[aria-current="true"]').count()).toBe(0);
  });

  it('goes to the page of a row that is marked from the front', async () => {
    const page = await openShared(asked);
    const last = [...(await frontRows(page))].reduce((a, b) => Math.max(a, b));
    await page.locator('#front summary').click();
    await page.locator(`#front li[data-row="${last}"] button`).click();
    expect(await page.locator(`tr[data-row="${last}"]`).getAttribute('aria-current')).toBe('true');
    expect(await page.locator(`tr[data-row="${last}"]`).isVisible()).toBe(true);
  });

  it('shows hostile names as what they are', async () => {
    const page = await open(hostileComparison());
    for (const [i, name] of hostile.entries()) {
      expect(await cell(page, i, 'model')).toBe(visible(name));
      expect(await cell(page, i, 'gpu')).toBe(visible(name));
      expect(await cell(page, i, 'verdict.reason')).toBe(visible(name));
      await page.locator(`tr[data-row="${i}"] button`).click();
      expect(await page.getByLabel('Marked deployment').innerText()).toContain(squeezed(visible(name)));
    }
    await page.locator('#filters summary').click();
    await page.locator('#front summary').click();
    const [left, top] = (await page.evaluate(`document.querySelector('.chart').pixelOf(0)`)) as [number, number];
    await page.locator('.chart').hover({ position: { x: left, y: top } });
    expect(await page.locator('.tip').innerText()).toContain(hostile[0]!);
    expect(await page.evaluate('[document.images.length, document.scripts.length, typeof hit]')).toEqual([
      0,
      2,
      'undefined',
    ]);
    expect(await page.locator('iframe, svg, object, embed, base, form, a, body > style').count()).toBe(0);
    expect((await page.content()).replaceAll('\n', '')).not.toMatch(rawControl);
  });

  it('opens ten thousand rows and answers at once', async () => {
    const many = comparison(10_000);
    const page = await open(many);
    expect(await page.locator('tbody tr').count()).toBe(100);
    const start = performance.now();
    await page.fill('#words', 'qwen');
    await expectCount(page, many.result.rows.filter(({ model }) => model.includes('qwen')).length);
    await page.locator('th[data-key="speed.decodeTokensPerSecond"] button').click();
    await page.locator('th[aria-sort="descending"]').waitFor();
    expect(performance.now() - start).toBeLessThan(5000);
  });

  it('is readable on a phone and in the dark, prints every row, and is nothing wide but the table', async () => {
    const page = await open(asked, { viewport: { width: 390, height: 844 }, isMobile: true, colorScheme: 'dark' });
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390);
    expect(await page.evaluate('getComputedStyle(document.body).backgroundColor')).toBe('rgb(20, 24, 30)');
    await page.evaluate(`dispatchEvent(new Event('beforeprint'))`);
    expect(await page.locator('tbody tr').count()).toBe(rows.length);
    await page.emulateMedia({ media: 'print' });
    expect(await page.evaluate('getComputedStyle(document.body).backgroundColor')).toBe('rgb(255, 255, 255)');
    expect(await page.locator('#words').isVisible()).toBe(false);
  });

  it('shows a comparison without rows', async () => {
    const page = await open(comparisonOf([]));
    expect(await page.locator('#count').innerText()).toBe('0 of 0 deployments');
  });
});

const hostile = [
  '</script><img src=x onerror=alert(1)>',
  `"><svg onload=alert(1)>'`,
  '<!--<script>hit=1</script>-->',
  '{b|<b>hit</b>}&lt;&amp;',
  'bell\u0007 escape\u001b[31m null\u0000',
  'lines\u2028and\u2029paragraphs\nand\ttabs',
  'left\u202etfel\u202c mark\u200f end',
  '__proto__',
  '\ud800 alone',
  `javascript:alert(1)//\\u003c`,
];

function hostileComparison(): CompareOutput {
  const [like] = comparison(1).result.rows;
  const rows = hostile.map(
    (name, i): CompareRow => ({
      ...like!,
      id: name,
      model: name,
      gpu: name,
      engine: name,
      fits: true,
      verdict: { ...like!.verdict, fits: true, reason: name },
      workload: { fits: true, maxConcurrencyAtContext: i + 1 },
      price: { perHour: i + 1, perMillionOutputTokens: null },
    }),
  );
  const column: CompareColumn = {
    ...comparisonColumns[0]!,
    key: 'engine',
    title: hostile[0]!,
    description: hostile[1]!,
  };
  const output = comparisonOf(rows);
  return {
    ...output,
    input: { models: hostile, [hostile[0]!]: { [hostile[1]!]: hostile[2]! } },
    result: {
      ...output.result,
      columns: [...comparisonColumns.filter(({ key }) => key !== 'engine'), column],
      pareto: { columns: [hostile[0]!], rows: [0] },
    },
    diagnostics: [{ severity: 'warning', code: hostile[1]!, message: hostile[0]! }],
  };
}

let pages = 0;

async function open(output: CompareOutput, options: BrowserContextOptions = {}): Promise<Page> {
  const file = join(folder, `${++pages}.html`);
  writeFileSync(file, await compareHtml(output));
  const url = pathToFileURL(file).href;
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, offline: true, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  page.on('console', (message) => troubles.push(message.text()));
  page.on('pageerror', (error) => troubles.push(String(error)));
  page.on('request', (request) => request.url() !== url && troubles.push(request.url()));
  page.on('dialog', (dialog) => {
    troubles.push(dialog.message());
    void dialog.dismiss();
  });
  await page.goto(url);
  await page.locator('#count').waitFor();
  return page;
}

/** The same page again, as new: half the time of another. */
async function openShared(output: CompareOutput): Promise<Page> {
  if (shared) await shared.reload();
  shared ??= await open(output);
  await shared.locator('#count').waitFor();
  return shared;
}

async function shownRows(page: Page): Promise<number[]> {
  return (await page.evaluate(
    `[...document.querySelectorAll('tbody tr')].map((row) => Number(row.dataset.row))`,
  )) as number[];
}

async function frontRows(page: Page): Promise<Set<number>> {
  const found = await page.evaluate(
    `[...document.querySelectorAll('#front li')].map((row) => Number(row.dataset.row))`,
  );
  return new Set(found as number[]);
}

async function cell(page: Page, row: number, key: string): Promise<string | null> {
  const at = `[...document.querySelectorAll('thead th')].findIndex((th) => th.dataset.key === ${JSON.stringify(key)})`;
  return (await page.evaluate(`document.querySelectorAll('tbody tr')[${row}].cells[${at}].textContent`)) as
    | string
    | null;
}

async function choose(page: Page, select: string, key: string): Promise<void> {
  await page.locator(select).selectOption(String(comparisonColumns.findIndex((column) => column.key === key)));
}

async function expectCount(page: Page, count: number): Promise<void> {
  const strong = page.locator('#count strong');
  await expect.poll(() => strong.innerText(), { timeout: 5000, interval: 20 }).toBe(count.toLocaleString('en'));
}

async function expectShown(page: Page, rows: readonly CompareRow[], keep: (row: CompareRow) => boolean): Promise<void> {
  const kept = rows.flatMap((row, i) => (keep(row) ? [i] : []));
  await expectCount(page, kept.length);
  expect(await shownRows(page)).toEqual(kept.slice(0, 100));
}

async function expectFront(page: Page, rows: readonly (CompareRow | null)[], keys: readonly string[]): Promise<void> {
  const front = bruteFront(rows, keys);
  expect(front.length).toBeGreaterThan(0);
  await expect.poll(() => frontRows(page), { timeout: 5000, interval: 20 }).toEqual(new Set(front));
}

/** Every row against every other; null stands for a row that is filtered out. */
function bruteFront(rows: readonly (CompareRow | null)[], keys: readonly string[]): number[] {
  const signs = keys.map((key) => (comparisonColumns.find((column) => column.key === key)!.better === 'less' ? 1 : -1));
  const costs = rows.map((row) => {
    const values = keys.map((key) => (row?.fits ? read(row, key) : null));
    return values.every((value) => value !== null) ? values.map((value, i) => signs[i]! * value!) : null;
  });
  return rows.flatMap((_, i) => {
    const mine = costs[i];
    if (!mine) return [];
    const beaten = costs.some(
      (other) => other?.every((cost, k) => cost <= mine[k]!) && other.some((cost, k) => cost < mine[k]!),
    );
    return beaten ? [] : [i];
  });
}

function read(row: CompareRow, key: string): number | null {
  return key.split('.').reduce<unknown>((at, part) => (at as Record<string, unknown>)[part], row) as number | null;
}

function between(value: number, low: number, high: number): boolean {
  return value >= low && value <= high;
}

function squeezed(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}
