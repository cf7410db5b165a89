// Streams, files and terminals: closed pipes, places that cannot be written or read, colour, help.
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { expectCalm, expectRefused, llama, modelFolder, put, scratch, shell, vram } from './run.ts';

const fits = ['plan', '-m', 'llama-7b', '-g', 'rtx4090'];
const root = process.getuid?.() === 0;
/** Permissions do not bind root: the program then runs as nobody. */
const asUser = root ? { uid: 65534 } : {};

describe.concurrent('pipes', () => {
  it('a reader that stops after a line is no error', async () => {
    const ran = await shell('$VRAM plan -m llama-3.1-70b -g h100-sxm --tp 8 --format json --explain | head -1');
    expect(ran).toMatchObject({ code: 0, out: '{\n', said: expect.not.stringMatching(/EPIPE|fault|error/) });
  });

  it('a reader that is gone is no error', async () => {
    const ran = await shell('$VRAM list models 2>err.txt | true; cat err.txt');
    expect(ran.out).toBe('');
  });

  it('nothing is lost past 64 KiB', async () => {
    const direct = await shell(
      '$VRAM list models --json > models.json; $VRAM list models --json | (sleep 1; cat) | cmp - models.json && wc -c < models.json',
    );
    expect(Number(direct.out)).toBeGreaterThan(20_000);
    const schema = await shell(
      '$VRAM plan -m llama-3.1-8b -g "64x h100-sxm" --tp 8 --pp 8 --json 2>/dev/null | (sleep 1; cat) | tee big.json | wc -c',
    );
    expect(Number(schema.out)).toBeGreaterThan(65_536);
    expect(() => JSON.parse(readFileSync(join(scratch, 'big.json'), 'utf8'))).not.toThrow();
  });

  it('a full disk is trouble of the environment', async () => {
    if (!existsSync('/dev/full')) return;
    const ran = await shell('$VRAM plan -m llama-7b -g rtx4090 > /dev/full');
    expectCalm(ran);
    expect(ran.code).toBe(3);
    expect(ran.said).toMatch(/error: cannot write to standard output: ENOSPC/);
  });
});

describe.concurrent('--output', () => {
  const to = (file: string, ...more: string[]) => [...fits, ...more, '-o', file];

  it('writes the file whole and nothing else', async () => {
    const ran = await vram(to('plan.json', '--json'));
    expect({ code: ran.code, out: ran.out }).toEqual({ code: 0, out: '' });
    expect(JSON.parse(readFileSync(join(scratch, 'plan.json'), 'utf8')).command).toBe('plan');
    expect(readdirSync(scratch).filter((name) => name.endsWith('.part'))).toEqual([]);
  });

  it('- is standard output', async () => {
    const ran = await vram(to('-', '--format', 'flags'));
    expect(ran.out).toMatch(/^--max-model-len 4096/);
  });

  it('into a folder that is not there', async () => {
    expectRefused(await vram(to('nowhere/plan.json')), 3, [
      'cannot write nowhere/plan.json',
      'check that the directory exists',
    ]);
    expect(existsSync(join(scratch, 'nowhere'))).toBe(false);
  });

  it('over a folder', async () => {
    mkdirSync(join(scratch, 'folder'));
    expectRefused(await vram(to('folder')), 3, ['cannot write folder']);
    expect(readdirSync(scratch).filter((name) => name.startsWith('folder'))).toEqual(['folder']);
  });

  it('into a device or a pipe, which stays what it is', async () => {
    const ran = await shell(
      'mkfifo pipe && (cat pipe > piped.json &) && $VRAM plan -m llama-7b -g rtx4090 --json -o pipe; ls -l pipe',
    );
    expect(ran.out).toMatch(/^p/);
    expect(JSON.parse(readFileSync(join(scratch, 'piped.json'), 'utf8')).command).toBe('plan');
  });

  it('through a link, which stays a link', async () => {
    const ran = await shell(
      'echo old > real.json && ln -s real.json link.json && $VRAM plan -m llama-7b -g rtx4090 --json -o link.json; ls -l link.json',
    );
    expect(ran.out).toMatch(/^l/);
    expect(JSON.parse(readFileSync(join(scratch, 'real.json'), 'utf8')).command).toBe('plan');
  });

  it('into nothing', async () => {
    expectRefused(await vram(to('')), 2, ['--output']);
  });

  it('below a file', async () => {
    put('file', 'mine');
    expectRefused(await vram(to('file/plan.json')), 3, ['cannot write file/plan.json']);
    expect(readFileSync(join(scratch, 'file'), 'utf8')).toBe('mine');
  });

  it('leaves an existing file as it was when the input is refused', async () => {
    put('kept.json', 'mine');
    expectRefused(await vram(['plan', '-m', 'no-such', '-g', 'rtx4090', '-o', 'kept.json']), 2, []);
    expectRefused(await vram(to('kept.json', '--require', 'no.such>=1')), 2, []);
    expect(readFileSync(join(scratch, 'kept.json'), 'utf8')).toBe('mine');
  });

  it('into a folder that may not be written', async () => {
    const folder = join(scratch, 'locked');
    mkdirSync(folder);
    writeFileSync(join(folder, 'plan.json'), 'mine');
    chmodSync(folder, 0o555);
    expectRefused(await vram(to('locked/plan.json'), asUser), 3, ['cannot write locked/plan.json', 'EACCES']);
    chmodSync(folder, 0o755);
    expect(readdirSync(folder)).toEqual(['plan.json']);
    expect(readFileSync(join(folder, 'plan.json'), 'utf8')).toBe('mine');
  });

  it('writes no colour into a file', async () => {
    await vram(to('plain.txt'), { env: { FORCE_COLOR: '1' } });
    expect(readFileSync(join(scratch, 'plain.txt'), 'utf8')).not.toContain('\u001b');
  });

  it('writes the list of GPUs too', async () => {
    const ran = await vram(['plan', '-m', 'llama-7b', '--format', 'csv', '-o', 'gpus.csv']);
    expect({ code: ran.code, out: ran.out }).toEqual({ code: 0, out: '' });
    expect(readFileSync(join(scratch, 'gpus.csv'), 'utf8')).toContain('rtx4090');
  });
});

describe.concurrent('files that may not be read', () => {
  const locked = (name: string) => {
    put(name, '{}');
    chmodSync(join(scratch, name), 0);
    return name;
  };
  it.each<[what: string, args: () => string[]]>([
    ['a YAML spec', () => ['plan', '-m', locked('locked.yaml'), '-g', 'rtx4090']],
    ['a config.json', () => ['plan', '-m', locked('locked-model/config.json'), '-g', 'rtx4090']],
    ['a GPU spec', () => ['plan', '-m', 'llama-7b', '-g', locked('locked-gpu.yaml')]],
    ['a config file', () => ['plan', '-g', 'rtx4090', '--from-command', locked('locked-serve.yaml')]],
    [
      'tensors',
      () => {
        const folder = modelFolder(llama());
        return ['plan', '-m', folder, '-g', 'rtx4090', ...(locked(`${folder}/model.safetensors`) ? [] : [])];
      },
    ],
  ])('%s', async (_what, args) => {
    expectRefused(await vram(args(), asUser), 3, ['may not be read', 'check its permissions']);
  });

  it.each<[what: string, ref: string, code: 2 | 3]>([
    ['a folder as YAML', 'folder.yaml', 2],
    ['the memory of a process', '/proc/self/mem', 3],
    ['an endless device', '/dev/zero', 2],
  ])('%s', async (_what, ref, code) => {
    mkdirSync(join(scratch, 'folder.yaml'), { recursive: true });
    if (ref.startsWith('/') && !existsSync(ref)) return;
    expectRefused(await vram(['plan', '-m', ref, '-g', 'rtx4090']), code, [ref]);
  });

  it('a file of 20 MiB', async () => {
    put('large.yaml', 'a: 1\n'.repeat(4_200_000));
    expectRefused(await vram(['plan', '-m', 'large.yaml', '-g', 'rtx4090']), 2, ['larger than 16 MiB']);
  });
});

describe.concurrent('devices and network', () => {
  it('no tool that knows a GPU', async () => {
    expectRefused(await vram(['plan', '-m', 'llama-7b', '-g', 'auto'], { env: { PATH: join(scratch, 'empty') } }), 3, [
      'no GPU found',
      'name the GPU instead',
    ]);
  });

  it('a hub that does not answer', async () => {
    expectRefused(await vram(['plan', '-m', 'hf:org/name', '-g', 'rtx4090']), 3, [
      'org/name could not be read from the hub',
      'check the network',
    ]);
  });

  it('a hub that may not be asked', async () => {
    expectRefused(await vram(['plan', '-m', 'hf:org/name', '-g', 'rtx4090'], { env: { HF_HUB_OFFLINE: '1' } }), 3, [
      'HF_HUB_OFFLINE',
    ]);
  });

  it('an address that is none', async () => {
    expectRefused(
      await vram(['plan', '-m', 'hf:org/name', '-g', 'rtx4090'], { env: { HF_ENDPOINT: 'not an address' } }),
      3,
      ['org/name'],
    );
  });
});

describe.concurrent('standard input', () => {
  it('is a config.json', async () => {
    const ran = await vram(['plan', '-m', '-', '-g', 'rtx4090', '--format', 'flags'], {
      stdin: JSON.stringify(llama()),
    });
    expectCalm(ran);
    expect(ran.code).toBe(0);
  });

  it.each([
    ['empty', '', ['standard input']],
    ['broken JSON', '{"model_type": ', ['standard input', 'ends too early']],
    ['broken YAML', 'a: [', ['standard input:1:']],
  ])('%s', async (_what, stdin, says) => {
    expectRefused(await vram(['plan', '-m', '-', '-g', 'rtx4090'], { stdin }), 2, says);
  });

  it('cannot be both model and GPU', async () => {
    expectRefused(await vram(['plan', '-m', '-', '-g', '-'], { stdin: '{}' }), 2, ['standard input']);
  });
});

describe.concurrent('colour', () => {
  const sequence = '\u001b[';
  it.each<[what: string, env: Record<string, string>, args: string[], coloured: boolean]>([
    ['a pipe', {}, [], false],
    ['FORCE_COLOR', { FORCE_COLOR: '1' }, [], true],
    ['FORCE_COLOR=0', { FORCE_COLOR: '0' }, [], false],
    ['NO_COLOR over FORCE_COLOR', { FORCE_COLOR: '1', NO_COLOR: '1' }, [], false],
    ['an empty NO_COLOR', { FORCE_COLOR: '1', NO_COLOR: '' }, [], true],
    ['--no-color over FORCE_COLOR', { FORCE_COLOR: '1' }, ['--no-color'], false],
  ])('%s', async (_what, env, args, coloured) => {
    const ran = await vram([...fits, ...args], { env });
    expect(ran.code).toBe(0);
    expect([ran.out.includes(sequence), ran.err.includes(sequence)]).toEqual([coloured, coloured]);
  });

  const terminal = existsSync('/usr/bin/script');
  it.skipIf(!terminal)('a terminal has colour unless it is dumb or NO_COLOR is set', async () => {
    const line = (env: string) => shell(`script -qec '${env} $VRAM plan -m llama-7b -g rtx4090' /dev/null`);
    const [plain, dumb, none] = await Promise.all([
      line('TERM=xterm'),
      line('TERM=dumb'),
      line('NO_COLOR=1 TERM=xterm'),
    ]);
    expect([plain, dumb, none].map(({ out }) => out.includes(sequence))).toEqual([true, false, false]);
  });

  it('errors follow the colour of standard error', async () => {
    const ran = await vram(['plan', '-m', 'no-such'], { env: { FORCE_COLOR: '1' } });
    expect(ran.err).toMatch(/^\u001b\[31merror\u001b\[0m: /);
  });
});

describe.concurrent('help', () => {
  it.each([
    ['--help'],
    ['plan', '--help'],
    ['simulate', '--help'],
    ['list', '--help'],
    ['show', '--help'],
    ['schema', '--help'],
    ['completion', '--help'],
    ['help'],
    ['plan', '-h'],
    ['quantize', '--help'],
  ])('vram %s %s', async (...args) => {
    const ran = await vram(args.filter((word): word is string => typeof word === 'string'));
    expectCalm(ran);
    expect({ code: ran.code, err: ran.err }).toEqual({ code: 0, err: '' });
    expect(ran.out).toMatch(/^Examples:\n {2}\$ vram /);
    expect(ran.out.split('\n').filter((line) => line.length > 80)).toEqual([]);
  });

  it('vram alone shows it and is wrong usage', async () => {
    const ran = await vram([]);
    expect({ code: ran.code, out: ran.out }).toEqual({ code: 2, out: '' });
    expect(ran.err).toMatch(/^Examples:/);
  });

  it('the version', async () => {
    expect(await vram(['--version'])).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
      err: '',
    });
  });

  it('vram help plan', async () => {
    const [help, own] = await Promise.all([vram(['help', 'plan']), vram(['plan', '--help'])]);
    expect(help.out).toBe(own.out);
  });

  it('help for what does not exist', async () => {
    expectRefused(await vram(['help', 'plam']), 2, ['unknown command "plam"', 'did you mean vram plan?']);
  });
});
