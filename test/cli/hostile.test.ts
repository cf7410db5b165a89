// Names and paths from outside with control characters, quotes, markup and shell words: nothing reaches a terminal raw, and
// every generated form keeps such a name one word or one text of its language.
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import {
  expectCalm,
  expectRefused,
  llama,
  modelFolder,
  put,
  rawControl,
  scratch,
  shell,
  vram,
  yamlSpec,
} from './run.ts';

const escapes = '\u001b[31mred\u001b]0;title\u0007\r\b\u009b2J\u202eevil\u2066\u2028';

/** Where words from outside are echoed in an error. */
const echoed: readonly (readonly [what: string, args: readonly string[]])[] = [
  ['a command', [escapes]],
  ['an option', ['plan', `--${escapes}`]],
  ['a model', ['plan', '-m', escapes, '-g', 'rtx4090']],
  ['a hub model', ['plan', '-m', `hf:${escapes}`, '-g', 'rtx4090']],
  ['a path', ['plan', '-m', `./${escapes}.yaml`, '-g', 'rtx4090']],
  ['a GPU', ['plan', '-m', 'llama-3.1-8b', '-g', escapes]],
  ['a GPU count', ['plan', '-m', 'llama-3.1-8b', '-g', `0x ${escapes}`]],
  ['an engine', ['plan', '-m', 'llama-3.1-8b', '--engine', escapes]],
  ['a release', ['plan', '-m', 'llama-3.1-8b', '--engine', `vllm@${escapes}`]],
  ['a size', ['plan', '-m', 'llama-3.1-8b', '-g', 'rtx4090', '--gpu-memory', escapes]],
  ['a number', ['plan', '-m', 'llama-3.1-8b', '--max-model-len', escapes]],
  ['a quantization', ['plan', '-m', 'llama-3.1-8b', '-g', 'rtx4090', '-q', escapes]],
  ['a type', ['plan', '-m', 'llama-3.1-8b', '-g', 'rtx4090', '--kv-cache-dtype', escapes]],
  ['a format', ['plan', '-m', 'llama-3.1-8b', '--format', escapes]],
  ['a requirement', ['plan', '-m', 'llama-3.1-8b', '--require', escapes]],
  ['a JSON value', ['plan', '-m', 'llama-3.1-8b', '--speculative-config', escapes]],
  ['a type without a list', ['plan', '-m', 'llama-3.1-8b', '-g', 'rtx4090', '--mamba-ssm-cache-dtype', escapes]],
  ['a family', ['plan', '-m', 'llama-3.1-8b', '--assume-architecture', escapes]],
  ['a kind', ['list', escapes]],
  ['a schema', ['schema', escapes]],
  ['a shell', ['completion', escapes]],
  ['a file to write', ['plan', '-m', 'llama-3.1-8b', '-g', 'h100-sxm', '-o', `no-such-dir/${escapes}`]],
];

describe.concurrent('escapes are shown, not sent, in', () => {
  it.each(echoed)('%s', async (_what, args) => {
    const ran = await vram(args);
    expectRefused(ran, args.includes('-o') ? 3 : 2, []);
    expect(ran.said).toMatch(/\\u001b|\\x1b/);
  });

  it('a YAML key', async () => {
    const file = put('keys.yaml', `${yamlSpec()}"\\e[2J\\u202e": 1\n`);
    expectRefused(await vram(['plan', '-m', file, '-g', 'rtx4090']), 2, ['unknown key']);
  });

  it.each([
    ['an architecture', { architectures: [escapes] }],
    ['a model type', { model_type: escapes }],
    ['a quantization method', { quantization_config: { quant_method: escapes } }],
  ])('%s of a config.json', async (_what, changes) => {
    expectRefused(await vram(['plan', '-m', modelFolder(llama(changes)), '-g', 'rtx4090']), 2, []);
  });
});

const names = [
  `it's $(touch ran) \`touch ran\`; touch ran & "x" | y > z \\`,
  '--help',
  '<script>alert(1)</script>&amp;"\'',
  '=HYPERLINK("http://x")',
  '%0A::error::x\n::warning::y',
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a variable of Compose, not of ours
  '${HOME} $HOME $(HOME) {{x}} ]]>',
  'x: [y]\n- z #',
];

/** All of them in one name, and the one whose first character matters. */
const together = [names.join(' '), names[3]!];

const formats = [
  'table',
  'markdown',
  'csv',
  'flags',
  'command',
  'docker',
  'compose',
  'kubernetes',
  'vllm-yaml',
  'yaml',
  'json',
  'github',
  'junit',
  'html',
  'svg',
];

/** A spec whose name and Hugging Face id are `name`; the schema lets no control character through. */
function named(name: string): string {
  const text = JSON.stringify(name.replaceAll('\n', ' '));
  return yamlSpec({
    head: `id: mine\nname: ${text}\nhfId: ${text}\narchitecture: LlamaForCausalLM\nmodelType: llama\n`,
  });
}

describe.concurrent('a hostile name', () => {
  it.each(names.map((name, i) => [i, name] as const))('%i stays one word of the command', async (i, name) => {
    const stdin = named(name);
    const [ran, seen] = await Promise.all([
      vram(['plan', '-m', '-', '-g', 'rtx4090', '--format', 'command'], { stdin }),
      shell(`$VRAM plan -m - -g rtx4090 --format command 2>/dev/null | sed 's/^vllm /printf "<%s>" /' | sh`, { stdin }),
    ]);
    expectCalm(ran);
    expect(ran.code).toBe(0);
    expect(seen.out).toContain(`<serve><${name.replaceAll('\n', ' ')}><--max-model-len>`);
    expect(seen.err).toBe('');
    expect(i).toBeGreaterThanOrEqual(0);
  });

  it('stays one word of docker run', async () => {
    const stdin = named(names[0]!);
    const seen = await shell(
      `$VRAM plan -m - -g rtx4090 --format docker 2>/dev/null | sed 's/^docker /printf "<%s>" /' | sh`,
      { stdin },
    );
    expect(seen.out).toContain(`<serve><${names[0]}><--max-model-len>`);
  });

  it.each(formats)('is harmless in %s', async (format) => {
    for (const name of together) {
      const ran = await vram(['plan', '-m', '-', '-g', 'rtx4090', '--format', format], { stdin: named(name) });
      expectCalm(ran);
      expect(ran.code).toBe(0);
      if (['html', 'svg', 'junit'].includes(format)) expect(ran.out).not.toMatch(/<script/);
      if (format === 'markdown') expect(ran.out.replace(/^```[\s\S]*?^```$/gm, '')).not.toMatch(/(?<!\\)<script/);
      if (format === 'csv') expect(ran.out).not.toMatch(/(^|,)=/m);
      if (format === 'github') expect(ran.out).not.toMatch(/^::(error|warning)::/m);
    }
  });

  it.each(['compose', 'kubernetes', 'vllm-yaml', 'yaml'])('is the same text after reading %s back', async (format) => {
    for (const name of together) {
      const ran = await vram(['plan', '-m', '-', '-g', 'rtx4090', '--format', format], { stdin: named(name) });
      const text = JSON.stringify(parse(ran.out)).replaceAll('$$', '$');
      expect(text).toContain(JSON.stringify(name.replaceAll('\n', ' ')));
    }
  });

  it.each(['html', 'svg', 'junit'])('does not break the markup of %s', async (format) => {
    const ran = await vram(
      ['plan', '-m', '-', '-g', 'rtx4090', '--format', format, '--require', 'verdict.reason=="<b>&\'"'],
      {
        stdin: named('<script>alert(1)</script>'),
      },
    );
    expect(ran.code).toBe(1);
    expect(ran.out).not.toMatch(/<script|<b>&/);
    expect(ran.out).toMatch(/<\/(html|svg|testsuites)>\s*$/);
  });

  it('of a folder', async () => {
    const folder = `it's "a" $(touch ran) <b> & x`;
    put(`${folder}/config.json`, JSON.stringify(llama()));
    for (const format of ['table', 'command', 'json', 'html', 'github']) {
      const ran = await vram(['plan', '-m', `./${folder}`, '-g', 'rtx4090', '--format', format]);
      expectCalm(ran);
      expect(ran.code).toBe(0);
    }
  });

  it('in a JSON value of a flag', async () => {
    const json = JSON.stringify({ method: 'ngram', num_speculative_tokens: 2, note: `it's \u009b2J\u202e` });
    const args = ['plan', '-m', 'llama-3.1-8b', '-g', 'h100-sxm', '--speculative-config', json, '--format', 'command'];
    const ran = await vram(args);
    expectCalm(ran);
    expect(ran.out).toContain('\\u202e');
  });

  it('ran nothing', async () => {
    const { existsSync } = await import('node:fs');
    expect(existsSync(`${scratch}/ran`)).toBe(false);
    expect(rawControl.test('\u001b')).toBe(true);
  });
});
