// The plan as something to run: one line of flags, a command, a config file, Docker, Compose, Kubernetes. Every word that came
// from outside is quoted for its language; the reason of each flag stands beside it as a comment.
import type { PlanOutput } from '../plan/output.ts';
import type { FlagSuggestion } from '../plan/types.ts';
import { shellQuote } from '../shell.ts';
import { visible } from './text.ts';

export function flagsLine(output: PlanOutput): string {
  return `${words(output.result.flags).map(shellQuote).join(' ')}\n`;
}

export function commandText(output: PlanOutput): string {
  const reasons = output.result.flags.map(({ flag, because }) => `# ${flag}: ${visible(because)}\n`).join('');
  return `${reasons}${output.result.command}\n`;
}

export function dockerText(output: PlanOutput): string {
  const { image, gpus, model } = deployment(output);
  const lines = [
    `docker run --rm --gpus ${gpus === 'all' ? 'all' : gpus} --ipc=host -p 8000:8000`,
    '-v "$HOME/.cache/huggingface:/root/.cache/huggingface"',
    `--entrypoint vllm ${image}`,
    `serve ${shellQuote(model)}`,
    ...pairs(output.result.flags).map((pair) => pair.map(shellQuote).join(' ')),
  ];
  return `${lines.join(' \\\n  ')}\n`;
}

/** A file for `vllm serve --config FILE`. */
export async function vllmYaml(output: PlanOutput): Promise<string> {
  const { Document } = await import('yaml');
  const document = new Document({});
  document.commentBefore = ` vllm serve --config this-file.yaml   (vLLM ${output.input.engine.version})`;
  document.set('model', modelName(output));
  for (const { flag, value, because } of output.result.flags) {
    const pair = document.createPair(positiveKey(flag), yamlValue(flag, value));
    (pair.key as { commentBefore?: string }).commentBefore = ` ${visible(because)}`;
    document.add(pair);
  }
  return document.toString({ lineWidth: 0 });
}

export async function composeYaml(output: PlanOutput): Promise<string> {
  const { Document } = await import('yaml');
  const { image, count, model } = deployment(output);
  const document = new Document({
    services: {
      vllm: {
        image,
        entrypoint: ['vllm', 'serve'],
        command: [model, ...words(output.result.flags)].map(escapeDollar),
        ipc: 'host',
        ports: ['8000:8000'],
        volumes: ['huggingface:/root/.cache/huggingface'],
        deploy: { resources: { reservations: { devices: [{ driver: 'nvidia', count, capabilities: ['gpu'] }] } } },
      },
    },
    volumes: { huggingface: {} },
  });
  document.commentBefore = reasonsComment(output.result.flags);
  return document.toString({ lineWidth: 0 });
}

export async function kubernetesYaml(output: PlanOutput): Promise<string> {
  const { Document } = await import('yaml');
  const { image, count, model } = deployment(output);
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
              args: [model, ...words(output.result.flags)].map(escapeKubernetes),
              ports: [{ containerPort: 8000 }],
              resources: { limits: { 'nvidia.com/gpu': count } },
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

function deployment(output: PlanOutput): { image: string; count: number; gpus: string; model: string } {
  const { engine, gpu, parallel } = output.input;
  const count = parallel.tp * parallel.pp;
  return {
    image: `vllm/vllm-openai:v${engine.version}`,
    count,
    gpus: count === gpu.count ? 'all' : String(count),
    model: modelName(output),
  };
}

function modelName({ input }: PlanOutput): string {
  return input.model.hfId ?? input.model.id;
}

export function words(flags: readonly FlagSuggestion[]): string[] {
  return pairs(flags).flat();
}

function pairs(flags: readonly FlagSuggestion[]): string[][] {
  return flags.map(({ flag, value }) => (value === null ? [flag] : [flag, value]));
}

function positiveKey(flag: string): string {
  return flag.replace(/^--/, '');
}

/** Switches are true; JSON values become mappings; numbers stay numbers. */
function yamlValue(_flag: string, value: string | null): unknown {
  if (value === null) return true;
  if (/^[[{]/.test(value)) return JSON.parse(value);
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
