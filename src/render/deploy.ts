// The plan as something to run: one line of flags, a command, a config file, Docker, Compose, Kubernetes. Every word that came
// from outside is quoted for its language; the reason of each flag stands beside it as a comment.
import { inputError } from '../diagnostics.ts';
import { flagWords, wordsOf } from '../plan/flag-words.ts';
import type { PlanOutput } from '../plan/output.ts';
import type { FlagSuggestion } from '../plan/types.ts';
import { shellQuote } from '../shell.ts';
import { visible } from './text.ts';

export function flagsLine(output: PlanOutput): string {
  return `${flagWords(output.result.flags).map(shellQuote).join(' ')}\n`;
}

export function commandText(output: PlanOutput): string {
  const reasons = output.result.flags.map(({ flag, because }) => `# ${flag}: ${visible(because)}\n`).join('');
  return `${reasons}${output.result.command}\n`;
}

export function dockerText(output: PlanOutput): string {
  const { image, gpus, environment, amd, docker, command = [], args } = deployment(output);
  const devices = amd
    ? '--device /dev/kfd --device /dev/dri --group-add video --security-opt seccomp=unconfined'
    : `--gpus ${gpus}`;
  const { flags } = output.result;
  const before = [...command.slice(1), ...args.slice(0, args.length - flagWords(flags).length)];
  const lines = [
    `docker run --rm ${devices} ${docker.options}`,
    ...docker.volumes.map((volume) => `-v ${volume}`),
    ...environment.map(([name, value]) => `-e ${name}=${shellQuote(value)}`),
    `${docker.entrypoint}${image}`,
    before.map(shellQuote).join(' '),
    ...flags.map((flag) => wordsOf(flag).map(shellQuote).join(' ')),
  ];
  const reasons = flags.map(({ flag, because }) => `# ${flag}: ${visible(because)}\n`).join('');
  return `${reasons}${lines.join(' \\\n  ')}\n`;
}

/** A file for `vllm serve --config FILE`. JSON stays text: releases up to 0.14 read no mappings there. */
export async function vllmYaml(output: PlanOutput): Promise<string> {
  const { Document } = await import('yaml');
  if (output.input.engine.id !== 'vllm') {
    throw inputError('VRAM154', 'vllm-yaml is a form of vLLM', { hint: 'use --format command', path: '--format' });
  }
  const { environment } = deployment(output);
  const model = output.input.model.served;
  const document = new Document({});
  const assignments = environment.map(([name, value]) => `${name}=${shellQuote(value)} `).join('');
  // Up to 0.7 the command line has to name the model itself.
  document.commentBefore = ` ${assignments}vllm serve ${shellQuote(visible(model))} --config this-file.yaml   (vLLM ${output.input.engine.version})`;
  document.set('model', model);
  for (const { flag, value, because, list } of output.result.flags) {
    const pair = document.createPair(flag.replace(/^--/, ''), yamlValue(value, list));
    const key = pair.key as { commentBefore?: string };
    key.commentBefore = ` ${visible(because)}`;
    document.add(pair);
  }
  return document.toString({ lineWidth: 0 });
}

export async function composeYaml(output: PlanOutput): Promise<string> {
  const { Document } = await import('yaml');
  const { name, image, count, environment, amd, command, args, port, compose } = deployment(output);
  const devices = amd
    ? { devices: ['/dev/kfd', '/dev/dri'], group_add: ['video'], security_opt: ['seccomp=unconfined'] }
    : { deploy: { resources: { reservations: { devices: [{ driver: 'nvidia', count, capabilities: ['gpu'] }] } } } };
  const document = new Document({
    services: {
      [name]: {
        image,
        ...(command ? { entrypoint: command } : {}),
        command: args.map(escapeDollar),
        ...(environment.length > 0
          ? { environment: Object.fromEntries(environment.map(([name, value]) => [name, escapeDollar(value)])) }
          : {}),
        ipc: 'host',
        ports: [`${port}:${port}`],
        volumes: compose.mounts,
        ...devices,
      },
    },
    ...(compose.volumes ? { volumes: compose.volumes } : {}),
  });
  document.commentBefore = reasonsComment(output.result.flags);
  return document.toString({ lineWidth: 0 });
}

export async function kubernetesYaml(output: PlanOutput): Promise<string> {
  const { Document } = await import('yaml');
  const { name: engine, image, count, environment, amd, command, args, port, mounts } = deployment(output);
  const name = kubernetesName(engine, output.input.model.id);
  const document = new Document({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: {
      replicas: 1,
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name } },
        spec: {
          containers: [
            {
              name: engine,
              image,
              ...(command ? { command } : {}),
              args: args.map(escapeKubernetes),
              ...(environment.length > 0
                ? { env: environment.map(([key, value]) => ({ name: key, value: escapeKubernetes(value) })) }
                : {}),
              ports: [{ containerPort: port }],
              resources: { limits: { [amd ? 'amd.com/gpu' : 'nvidia.com/gpu']: count } },
              volumeMounts: mounts.map(({ name: volume, path }) => ({ name: volume, mountPath: path })),
            },
          ],
          volumes: mounts.map(({ name: volume, source }) => ({ name: volume, ...source })),
        },
      },
    },
  });
  document.commentBefore = reasonsComment(output.result.flags);
  return document.toString({ lineWidth: 0 });
}

interface Deployment {
  /** Of the service and the container. */
  name: 'vllm' | 'llama';
  image: string;
  count: number;
  gpus: string;
  amd: boolean;
  environment: [name: string, value: string][];
  /** In place of the image's own. */
  command?: string[];
  /** The model, what the container needs, and last the flags of the plan. */
  args: string[];
  port: number;
  docker: { options: string; volumes: string[]; entrypoint: string };
  compose: { mounts: string[]; volumes?: Record<string, object> };
  mounts: { name: string; path: string; source: object }[];
}

function deployment(output: PlanOutput): Deployment {
  switch (output.input.engine.id) {
    case 'llama.cpp':
      return llamaDeployment(output);
    case 'ollama':
      throw inputError('VRAM154', 'Ollama is not deployed in this form', {
        hint: 'the table shows its Modelfile and environment; --json has them too (result.ollama)',
        path: '--format',
      });
    default:
      return vllmDeployment(output);
  }
}

function vllmDeployment({ input, result }: PlanOutput): Deployment {
  const { engine, gpu, parallel, model } = input;
  const count = parallel.tp * parallel.pp * parallel.dp;
  const amd = gpu.vendor === 'amd';
  const env = Object.entries((engine.options.env ?? {}) as Record<string, string>);
  return {
    name: 'vllm',
    image: `vllm/vllm-openai${amd ? '-rocm' : ''}:v${imageVersion(engine)}`,
    count,
    gpus: count === gpu.count ? 'all' : String(count),
    amd,
    environment: env.filter(([name]) => name.startsWith('VLLM_')),
    command: ['vllm', 'serve'],
    args: [model.served, ...flagWords(result.flags)],
    port: 8000,
    docker: {
      options: '--ipc=host -p 8000:8000',
      volumes: ['"$HOME/.cache/huggingface:/root/.cache/huggingface"'],
      entrypoint: '--entrypoint vllm ',
    },
    compose: { mounts: ['huggingface:/root/.cache/huggingface'], volumes: { huggingface: {} } },
    mounts: [{ name: 'shm', path: '/dev/shm', source: { emptyDir: { medium: 'Memory' } } }],
  };
}

/** ghcr.io/ggml-org/llama.cpp (docs/docker.md): the entry point is llama-server; files are looked for in /models. */
function llamaDeployment({ input, result }: PlanOutput): Deployment {
  const { engine, gpu, model } = input;
  const amd = gpu.vendor === 'amd';
  const backend = { nvidia: 'cuda', amd: 'rocm', intel: 'intel' }[gpu.vendor] ?? 'vulkan';
  const build = /^b\d+$/.test(engine.version) ? `-${engine.version}` : '';
  const file = `/models/${model.served.replace(/^.*[\\/]/, '')}`;
  return {
    name: 'llama',
    image: `ghcr.io/ggml-org/llama.cpp:server-${backend}${build}`,
    count: gpu.count,
    gpus: 'all',
    amd,
    environment: [],
    args: ['--model', file, '--host', '0.0.0.0', '--port', '8080', ...flagWords(result.flags)],
    port: 8080,
    docker: { options: '-p 8080:8080', volumes: ['"$PWD:/models"'], entrypoint: '' },
    compose: { mounts: ['./:/models'] },
    mounts: [{ name: 'models', path: '/models', source: { hostPath: { path: '/models' } } }],
  };
}

/** Images are tagged with whole versions: 0.9 names none. */
function imageVersion({ version, release }: PlanOutput['input']['engine']): string {
  return /^\d+\.\d+\.\d/.test(version) ? version : release;
}

/** Switches are true, numbers stay numbers, lists become lists. */
function yamlValue(value: string | null, list: boolean | undefined): unknown {
  if (value === null) return true;
  if (list) return value.split(' ').map(Number);
  return /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : value;
}

function reasonsComment(flags: readonly FlagSuggestion[]): string {
  return flags.map(({ flag, because }) => ` ${flag}: ${visible(because)}`).join('\n');
}

/** Compose substitutes $VAR in every string. */
function escapeDollar(text: string): string {
  return text.replaceAll('$', '$$$$');
}

/** Kubernetes expands $(VAR) in arguments. */
function escapeKubernetes(text: string): string {
  return text.replaceAll('$(', '$$$$(');
}

function kubernetesName(engine: string, id: string): string {
  const clean = id
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .replace(/^-+|-+$/g, '');
  return `${engine}-${clean || 'model'}`.slice(0, 63).replace(/-+$/, '');
}
