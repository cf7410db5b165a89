// The plan as something to run: one line of flags, a command, a config file, Docker, Compose, Kubernetes. Every word that came
// from outside is quoted for its language; the reason of each flag stands beside it as a comment.
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
  const { image, gpus, model, environment, amd } = deployment(output);
  const devices = amd
    ? '--device /dev/kfd --device /dev/dri --group-add video --security-opt seccomp=unconfined'
    : `--gpus ${gpus}`;
  const lines = [
    `docker run --rm ${devices} --ipc=host -p 8000:8000`,
    '-v "$HOME/.cache/huggingface:/root/.cache/huggingface"',
    ...environment.map(([name, value]) => `-e ${name}=${shellQuote(value)}`),
    `--entrypoint vllm ${image}`,
    `serve ${shellQuote(model)}`,
    ...output.result.flags.map((flag) => wordsOf(flag).map(shellQuote).join(' ')),
  ];
  const reasons = output.result.flags.map(({ flag, because }) => `# ${flag}: ${visible(because)}\n`).join('');
  return `${reasons}${lines.join(' \\\n  ')}\n`;
}

/** A file for `vllm serve --config FILE`. JSON stays text: releases up to 0.14 read no mappings there. */
export async function vllmYaml(output: PlanOutput): Promise<string> {
  const { Document } = await import('yaml');
  const { model, environment } = deployment(output);
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
  const { image, count, model, environment, amd } = deployment(output);
  const devices = amd
    ? { devices: ['/dev/kfd', '/dev/dri'], group_add: ['video'], security_opt: ['seccomp=unconfined'] }
    : { deploy: { resources: { reservations: { devices: [{ driver: 'nvidia', count, capabilities: ['gpu'] }] } } } };
  const document = new Document({
    services: {
      vllm: {
        image,
        entrypoint: ['vllm', 'serve'],
        command: [model, ...flagWords(output.result.flags)].map(escapeDollar),
        ...(environment.length > 0
          ? { environment: Object.fromEntries(environment.map(([name, value]) => [name, escapeDollar(value)])) }
          : {}),
        ipc: 'host',
        ports: ['8000:8000'],
        volumes: ['huggingface:/root/.cache/huggingface'],
        ...devices,
      },
    },
    volumes: { huggingface: {} },
  });
  document.commentBefore = reasonsComment(output.result.flags);
  return document.toString({ lineWidth: 0 });
}

export async function kubernetesYaml(output: PlanOutput): Promise<string> {
  const { Document } = await import('yaml');
  const { image, count, model, environment, amd } = deployment(output);
  const name = kubernetesName(output.input.model.id);
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
              name: 'vllm',
              image,
              command: ['vllm', 'serve'],
              args: [model, ...flagWords(output.result.flags)].map(escapeKubernetes),
              ...(environment.length > 0
                ? { env: environment.map(([key, value]) => ({ name: key, value: escapeKubernetes(value) })) }
                : {}),
              ports: [{ containerPort: 8000 }],
              resources: { limits: { [amd ? 'amd.com/gpu' : 'nvidia.com/gpu']: count } },
              volumeMounts: [{ name: 'shm', mountPath: '/dev/shm' }],
            },
          ],
          volumes: [{ name: 'shm', emptyDir: { medium: 'Memory' } }],
        },
      },
    },
  });
  document.commentBefore = reasonsComment(output.result.flags);
  return document.toString({ lineWidth: 0 });
}

interface Deployment {
  image: string;
  count: number;
  gpus: string;
  model: string;
  amd: boolean;
  environment: [name: string, value: string][];
}

function deployment({ input }: PlanOutput): Deployment {
  const { engine, gpu, parallel, model } = input;
  const count = parallel.tp * parallel.pp * parallel.dp;
  const amd = gpu.vendor === 'amd';
  const env = Object.entries((engine.options.env ?? {}) as Record<string, string>);
  return {
    image: `vllm/vllm-openai${amd ? '-rocm' : ''}:v${imageVersion(engine)}`,
    count,
    gpus: count === gpu.count ? 'all' : String(count),
    model: model.served,
    amd,
    environment: env.filter(([name]) => name.startsWith('VLLM_')),
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

function kubernetesName(id: string): string {
  const clean = id
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .replace(/^-+|-+$/g, '');
  return `vllm-${clean || 'model'}`.slice(0, 63).replace(/-+$/, '');
}
