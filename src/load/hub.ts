// Reads the configuration of a repository of the Hugging Face hub: from the local cache when it is there, otherwise over the
// network (HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE as in huggingface_hub). Two small files are all it asks for, so plain requests
// to the hub's resolve address do; weights are never downloaded.
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { inputError, VramError } from '../diagnostics.ts';
import { type LoadContext, maxTextBytes, readText } from './context.ts';
import { printable } from './names.ts';

export interface HubConfig {
  name: string;
  label: string;
  text: string;
  /** hf_quant_config.json, where the repository has one. */
  quantText?: string;
}

/** `repository` is org/name, with @revision where a branch, tag or commit is meant. */
export async function readHubConfig(repository: string, context: LoadContext): Promise<HubConfig> {
  const match = /^([\w.-]+\/[\w.-]+)(?:@([\w./-]+))?$/.exec(repository.trim());
  if (!match || /(^|\/)\.+(\/|$)/.test(match[1]!)) {
    throw inputError('VRAM119', `"hf:${printable(repository)}" is not hf:organisation/name`, { path: '--model' });
  }
  const name = match[1]!;
  const revision = match[2] ?? 'main';
  const label = `hf:${name}/config.json`;
  const cached = cachedSnapshot(name, revision, context);
  if (cached) {
    const quantFile = join(cached, 'hf_quant_config.json');
    return {
      name,
      label,
      text: readText(join(cached, 'config.json'), context, '--model'),
      ...(existsSync(quantFile) ? { quantText: readText(quantFile, context, '--model') } : {}),
    };
  }
  if (isSet(context.env?.HF_HUB_OFFLINE)) {
    throw new VramError('VRAM180', `${name} is not in the local cache and HF_HUB_OFFLINE is set`);
  }
  const text = await download(name, revision, 'config.json', context);
  if (text === undefined) throw new VramError('VRAM181', `${name} has no config.json`, 'is it a transformers model?');
  const quantText = text.includes('quantization_config')
    ? undefined
    : await download(name, revision, 'hf_quant_config.json', context);
  return { name, label, text, ...(quantText !== undefined ? { quantText } : {}) };
}

/** huggingface_hub's cache layout: models--org--name/{refs/<revision>, snapshots/<commit>/}. */
function cachedSnapshot(name: string, revision: string, context: LoadContext): string | undefined {
  const env = context.env ?? process.env;
  const home = env.HF_HOME ?? join(env.XDG_CACHE_HOME ?? join(env.HOME ?? homedir(), '.cache'), 'huggingface');
  const repository = join(env.HF_HUB_CACHE ?? join(home, 'hub'), `models--${name.replace('/', '--')}`);
  const ref = join(repository, 'refs', revision);
  const commit = existsSync(ref) ? readFileSync(ref, 'utf8').trim() : revision;
  const snapshot = join(repository, 'snapshots', commit);
  return existsSync(join(snapshot, 'config.json')) ? snapshot : undefined;
}

const timeoutMs = 30_000;

/** Text of one file, undefined when the repository does not have it. */
async function download(
  name: string,
  revision: string,
  path: string,
  context: LoadContext,
): Promise<string | undefined> {
  const env = context.env ?? process.env;
  const endpoint = (env.HF_ENDPOINT ?? 'https://huggingface.co').replace(/\/+$/, '');
  const url = `${endpoint}/${name}/resolve/${encodeURIComponent(revision)}/${path}`;
  const headers: Record<string, string> = env.HF_TOKEN ? { authorization: `Bearer ${env.HF_TOKEN}` } : {};
  let response: Response;
  try {
    response = await (context.fetch ?? fetch)(url, { headers, signal: AbortSignal.timeout(timeoutMs) });
    if (response.ok) return await limitedText(response, `${path} of ${name}`);
  } catch (error) {
    throw error instanceof VramError ? error : unreachable(error, name);
  }
  if (response.status === 404 && response.headers.get('x-error-code') !== 'RepoNotFound') return undefined;
  throw refused(response.status, name);
}

async function limitedText(response: Response, what: string): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of response.body ?? []) {
    bytes += part.byteLength;
    if (bytes > maxTextBytes) throw new VramError('VRAM181', `${what} is larger than any configuration`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

function refused(status: number, name: string): VramError {
  if (status === 401 || status === 403) {
    return new VramError(
      'VRAM181',
      `${name}: the hub refuses access (${status})`,
      'the repository is gated, private or does not exist; set HF_TOKEN, or give a config.json',
    );
  }
  if (status === 404) return new VramError('VRAM181', `there is no repository ${name} on the hub`);
  return new VramError('VRAM180', `${name} could not be read from the hub: it answers ${status}`, tryOtherwise);
}

const tryOtherwise = 'check the network and HF_ENDPOINT, or give a config.json';

function unreachable(error: unknown, name: string): VramError {
  const { message, cause } = error as Error & { cause?: Error };
  const reason = printable(cause?.message || (cause as NodeJS.ErrnoException | undefined)?.code || message, 200);
  return new VramError('VRAM180', `${name} could not be read from the hub: ${reason}`, tryOtherwise, { cause: error });
}

function isSet(value: string | undefined): boolean {
  return value !== undefined && !['', '0', 'false', 'no', 'off'].includes(value.toLowerCase());
}
