// Reads the configuration of a repository of the Hugging Face hub: from the local cache when it is there, otherwise over the
// network (HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE as in huggingface_hub). Weights are never downloaded.
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

async function download(
  name: string,
  revision: string,
  path: string,
  context: LoadContext,
): Promise<string | undefined> {
  const env = context.env ?? process.env;
  const { downloadFile } = await import('@huggingface/hub');
  try {
    const blob = await downloadFile({
      repo: { type: 'model', name },
      path,
      revision,
      ...(env.HF_ENDPOINT ? { hubUrl: env.HF_ENDPOINT.replace(/\/+$/, '') } : {}),
      ...(env.HF_TOKEN ? { accessToken: env.HF_TOKEN } : {}),
      ...(context.fetch ? { fetch: context.fetch } : {}),
    });
    if (!blob) return undefined;
    if (blob.size > maxTextBytes) throw new VramError('VRAM181', `${path} of ${name} is ${blob.size} bytes`);
    return await blob.text();
  } catch (error) {
    if (error instanceof VramError) throw error;
    throw hubError(error, name);
  }
}

function hubError(error: unknown, name: string): VramError {
  const { statusCode, message } = error as { statusCode?: number; message?: string };
  if (statusCode === 401 || statusCode === 403) {
    return new VramError(
      'VRAM181',
      `${name}: the hub refuses access (${statusCode})`,
      'the repository is gated, private or does not exist; set HF_TOKEN, or give a config.json',
      { cause: error },
    );
  }
  if (statusCode === 404)
    return new VramError('VRAM181', `there is no repository ${name} on the hub`, undefined, { cause: error });
  const reason = printable((error as Error & { cause?: Error }).cause?.message ?? message ?? String(error), 200);
  return new VramError(
    'VRAM180',
    `${name} could not be read from the hub: ${reason}`,
    'check the network and HF_ENDPOINT, or give a config.json',
    { cause: error },
  );
}

function isSet(value: string | undefined): boolean {
  return value !== undefined && !['', '0', 'false', 'no', 'off'].includes(value.toLowerCase());
}
