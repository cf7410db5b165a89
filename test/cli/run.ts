// Runs the real program and holds what it says against the contract: exit code, one clear message on standard error, nothing
// on standard output when the input is refused. It knows nothing of what is planned.
import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect } from 'vitest';

export const program = fileURLToPath(new URL('../../bin/vram.js', import.meta.url));

export interface Ran {
  code: number | null;
  out: string;
  err: string;
  /** Standard error with its line breaks and indents as single spaces. */
  said: string;
}

export interface RunOptions {
  stdin?: string;
  env?: Record<string, string>;
  cwd?: string;
  uid?: number;
}

/** `vram ...args` without a terminal, without colour variables, and without a hub to ask. */
export function vram(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const file = options.uid === undefined ? program : programForAnyone();
  return start(process.execPath, [file, ...args], options);
}

/** Another user may not be able to read this checkout: the program is copied, once, to where anyone can. */
function programForAnyone(): string {
  const copy = join(scratch, 'program');
  if (!existsSync(copy)) {
    const root = fileURLToPath(new URL('../../', import.meta.url));
    for (const part of ['bin', 'dist', 'node_modules/yaml', 'node_modules/zod']) {
      cpSync(join(root, part), join(copy, part), { recursive: true });
    }
    execFileSync('chmod', ['-R', 'a+rX', copy]);
  }
  return join(copy, 'bin/vram.js');
}

/** A shell line in which "$VRAM" is the program. */
export function shell(line: string, options: RunOptions = {}): Promise<Ran> {
  const env = { ...options.env, VRAM: program, NODE: process.execPath };
  return start('sh', ['-c', line.replaceAll('$VRAM', '"$NODE" "$VRAM"')], { ...options, env });
}

function start(command: string, args: readonly string[], options: RunOptions): Promise<Ran> {
  const { PATH = '', HOME = '' } = process.env;
  return new Promise((done, fail) => {
    const child = spawn(command, [...args], {
      cwd: options.cwd ?? scratch,
      env: { PATH, HOME, HF_ENDPOINT: 'http://127.0.0.1:9', HF_HOME: join(scratch, 'no-cache'), ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
      ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
    });
    let out = '';
    let err = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      err += text;
    });
    child.stdin.on('error', () => undefined).end(options.stdin ?? '');
    child.on('error', fail);
    child.on('close', (code) => done({ code, out, err, said: err.replace(/\s+/g, ' ') }));
  });
}

/** A folder of this test file's own, gone when it ends. */
export const scratch = mkdtempSync(join(tmpdir(), 'vram-cli-'));
chmodSync(scratch, 0o755);
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Writes a file below the scratch folder and returns its relative name. */
export function put(name: string, content: string | Uint8Array): string {
  const file = join(scratch, name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
  return name;
}

let folders = 0;
/** A model folder with a config.json and whatever else; returns its relative name. */
export function modelFolder(config: unknown, others: Record<string, string | Uint8Array> = {}): string {
  const folder = `model-${++folders}`;
  put(join(folder, 'config.json'), typeof config === 'string' ? config : JSON.stringify(config));
  for (const [name, content] of Object.entries(others)) put(join(folder, name), content);
  return folder;
}

/** The configuration of a small Llama, with changes; a key changed to undefined is left out. */
export function llama(changes: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_size: 2048,
    intermediate_size: 8192,
    num_hidden_layers: 16,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    vocab_size: 128256,
    max_position_embeddings: 8192,
    torch_dtype: 'bfloat16',
    ...changes,
  };
}

/** A YAML spec of the same, with one block replaced. */
export function yamlSpec(changes: { config?: string; head?: string } = {}): string {
  const head = changes.head ?? 'id: mine\narchitecture: LlamaForCausalLM\nmodelType: llama\n';
  const config =
    changes.config ??
    '  hiddenSize: 2048\n  intermediateSize: 8192\n  layers: 16\n  heads: 32\n  kvHeads: 8\n  vocabSize: 128256\n  maxPositionEmbeddings: 8192\n';
  return `${head}config:\n${config}`;
}

/** The input was refused as the contract says: code, message, and nothing else. */
export function expectRefused(ran: Ran, code: 2 | 3, says: readonly (RegExp | string)[]): void {
  for (const part of says) {
    if (typeof part === 'string') expect(ran.said).toContain(part);
    else expect(ran.said).toMatch(part);
  }
  expect(ran.said).toMatch(/^error: .*\[VRAM\d{3}\]/);
  expectCalm(ran);
  expect({ code: ran.code, out: ran.out }).toEqual({ code, out: '' });
}

/** No stack, no fault, no control character but line breaks on either stream. */
export function expectCalm(ran: Ran): void {
  expect(ran.said).not.toMatch(/fault of the program|node:internal|\.cjs:|\bundefined\b|\[object/);
  expect(ran.err).not.toMatch(/^\s+at .*:\d+:\d+\)?$/m);
  expect(rawControl.exec(ran.err)?.[0]).toBeUndefined();
  expect(rawControl.exec(ran.out)?.[0]).toBeUndefined();
  expect(ran.code).not.toBe(70);
}

/** What must never reach a terminal: C0 and C1 controls but the line break, DEL, and what turns the reading direction. */
export const rawControl =
  /[\u0000-\u0009\u000b\u000c\u000e-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/;
