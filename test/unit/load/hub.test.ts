import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { VramError } from '../../../src/diagnostics.ts';
import { resolveModel } from '../../../src/load/model.ts';
import { inTemporary, problemsOf } from './helpers.ts';

const config = JSON.stringify({
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  intermediate_size: 128,
  vocab_size: 256,
});

/** A hub of one public and one gated repository. */
const seen: { url: string; token?: string }[] = [];
const server = createServer((request, response) => {
  const url = request.url ?? '';
  seen.push({ url, token: request.headers.authorization });
  const known = url.startsWith('/some/model/resolve/main/config.json');
  const gated = url.startsWith('/gated/model/') && request.headers.authorization !== 'Bearer hf_secret';
  const body = gated
    ? '{"error":"Access to this repository is restricted"}'
    : known
      ? config
      : '{"error":"Entry not found"}';
  const status = gated ? 401 : known ? 200 : 404;
  const headers: Record<string, string> = { 'content-length': String(body.length), etag: '"abc"' };
  if (status === 404) headers['x-error-code'] = url.startsWith('/some/model') ? 'EntryNotFound' : 'RepoNotFound';
  response.writeHead(status, headers);
  response.end(request.method === 'HEAD' ? undefined : body);
});
let endpoint = '';
beforeAll(() => new Promise<void>((done) => server.listen(0, '127.0.0.1', done)));
beforeAll(() => {
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => void server.close());

const env = (more: Record<string, string> = {}) => ({ HF_ENDPOINT: endpoint, HF_HOME: '/nonexistent', ...more });

describe('hf:', () => {
  it('reads a configuration from HF_ENDPOINT', async () => {
    const { spec, from } = await resolveModel('hf:some/model', { env: env({ HF_TOKEN: 'hf_secret' }) });
    expect([spec.hfId, spec.config.layers, from]).toEqual(['some/model', 2, 'hub']);
    expect(seen.some(({ token }) => token === 'Bearer hf_secret')).toBe(true);
  });

  it('prefers the local cache', () => {
    const root = 'hub/models--some--cached';
    const files = { [`${root}/refs/main`]: 'abc123', [`${root}/snapshots/abc123/config.json`]: config };
    return inTemporary(files, async (cwd) => {
      const { spec } = await resolveModel('hf:some/cached', { env: { HF_HOME: cwd, HF_HUB_OFFLINE: '1' } });
      expect(spec.hfId).toBe('some/cached');
    });
  });

  it.each([
    ['hf:no/such', {}, 'VRAM181'],
    ['hf:gated/model', {}, 'VRAM181'],
    ['hf:some/model', { HF_HUB_OFFLINE: '1' }, 'VRAM180'],
    ['hf:some/model', { HF_ENDPOINT: 'http://127.0.0.1:1' }, 'VRAM180'],
  ])('%s fails as the environment does', async (ref, more, code) => {
    const result = resolveModel(ref, { env: env(more) });
    await expect(result).rejects.toBeInstanceOf(VramError);
    await expect(result).rejects.toMatchObject({ code });
  });

  it.each(['hf:', 'hf:model', 'hf:../../etc', 'hf:a/b/c', 'hf:a/..', 'hf:a b/c'])('%s is refused', async (ref) => {
    expect((await problemsOf(resolveModel(ref, { env: env() })))[0]!.code).toBe('VRAM119');
  });
});
