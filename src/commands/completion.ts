// `vram completion <shell>`: a completion script with the commands, their options and the names of the presets. The names are
// asked from `vram completion --names <kind>` at completion time, so that the script does not go stale.
import { inputError } from '../diagnostics.ts';
import type { Io } from '../io.ts';
import { loadPresets, presetIds } from '../load/presets.ts';
import { policies } from '../sim/policies.ts';
import { engineOptionTable, longNames } from '../spec/engine-options.ts';
import { llamaOptionTable } from '../spec/llama-options.ts';
import { simulationOptionTable } from '../spec/simulation-options.ts';
import { makeCommand, parseCommand } from './command.ts';

const commands = ['plan', 'simulate', 'compare', 'quantize', 'list', 'show', 'schema', 'completion'];
const planOptions = [
  '--model',
  '--gpu',
  '--gpu-memory',
  '--deployment',
  '--engine',
  '--context',
  '--concurrency',
  '--from-command',
  '--require',
  '--format',
  '--json',
  '--matrix',
  '--disaggregate',
  '--explain',
  '--assume-architecture',
  '--free-memory',
  '--output',
  '--env',
  '--pool',
  '--allocator',
];

const quantizeOnly = ['--recipe', '--recipe-out', '--scheme', '--max-quality-loss', '--domain'];

const compareOnly = [
  '--output-tokens',
  '--for',
  '--sort',
  '--filter',
  '--top',
  '--pareto',
  '--group-by',
  '--diff',
  '--max-change',
  '--columns',
  '--price',
  '--prices',
];

const simulateOnly = [
  '--workload',
  '--policy',
  '--loading',
  '--run-config',
  '--sweep',
  '--find-max-rate',
  '--slo',
  '--cache-only',
  '--capacity-blocks',
  '--jobs',
  '--no-advice',
  '--timeline',
  '--events',
  '--per-request',
];

export async function run(argv: readonly string[], io: Io): Promise<number> {
  const command = makeCommand(
    'completion',
    'Completion script for a shell.',
    [
      'vram completion bash > ~/.local/share/bash-completion/completions/vram',
      'vram completion zsh > ~/.zfunc/_vram',
      'vram completion fish > ~/.config/fish/completions/vram.fish',
    ],
    io,
  )
    .argument('[shell]', 'bash, zsh or fish')
    .option('--names <kind>', 'print the names of a kind (used by the scripts)');
  if (!(await parseCommand(command, argv))) return 0;
  const { names } = command.opts<{ names?: string }>();
  if (names === 'models' || names === 'gpus' || names === 'nodes') {
    io.out(`${presetIds(names).join('\n')}\n`);
    return 0;
  }
  if (names !== undefined && isNamed(names)) {
    const words = names === 'policies' ? policies : loadPresets(names).map(({ id }) => id);
    io.out(`${words.join('\n')}\n`);
    return 0;
  }
  const script = scriptFor(command.args[0]);
  if (!script) {
    throw inputError('VRAM159', `no completion for ${JSON.stringify(command.args[0] ?? '')}`, {
      hint: 'vram completion bash, zsh or fish',
    });
  }
  io.out(script);
  return 0;
}

const named = ['workloads', 'policies', 'deployments', 'scenarios', 'sharing', 'loading'] as const;

function isNamed(kind: string): kind is (typeof named)[number] {
  return (named as readonly string[]).includes(kind);
}

function optionWords(): string[] {
  return [...planOptions, ...engineOptionTable.flatMap(longNames), ...llamaOptionTable.flatMap(({ long }) => long)];
}

/** What a list of schemes has no use for. */
function quantizeWords(): string[] {
  const plans = new Set(['--matrix', '--require', '--from-command', '--deployment', '--pool', '--allocator']);
  return [...quantizeOnly, ...optionWords().filter((name) => !plans.has(name))];
}

/** Lists of models and GPUs are asked for, not one deployment. */
function compareWords(): string[] {
  const plans = new Set([
    '--matrix',
    '--from-command',
    '--deployment',
    '--disaggregate',
    '--gpu-memory',
    '--free-memory',
    '--assume-architecture',
    '--env',
    '--pool',
    '--allocator',
  ]);
  return [...compareOnly, ...optionWords().filter((name) => !plans.has(name))];
}

function simulateWords(): string[] {
  const plans = new Set([
    '--matrix',
    '--explain',
    '--concurrency',
    '--env',
    '--allocator',
    ...llamaOptionTable.flatMap(({ long }) => long),
  ]);
  const shared = optionWords().filter((name) => !plans.has(name));
  return [...simulateOnly, ...simulationOptionTable.flatMap(longNames), ...shared];
}

function scriptFor(shell: string | undefined): string | undefined {
  switch (shell) {
    case 'bash':
      return `_vram() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]}
  case $prev in
    -m|--model) COMPREPLY=($(compgen -W "$(vram completion --names models)" -- "$cur")); return ;;
    -g|--gpu) COMPREPLY=($(compgen -W "$(vram completion --names gpus)" -- "$cur")); return ;;
    -w|--workload) COMPREPLY=($(compgen -W "$(vram completion --names workloads)" -- "$cur"; compgen -f -- "$cur")); return ;;
    --deployment) COMPREPLY=($(compgen -W "$(vram completion --names deployments)" -- "$cur"; compgen -f -- "$cur")); return ;;
    --for) COMPREPLY=($(compgen -W "$(vram completion --names scenarios)" -- "$cur")); return ;;
    --policy) COMPREPLY=($(compgen -W "$(vram completion --names policies)" -- "$cur")); return ;;
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then COMPREPLY=($(compgen -W "${commands.join(' ')}" -- "$cur")); return; fi
  case \${COMP_WORDS[1]} in
    simulate) COMPREPLY=($(compgen -W "${simulateWords().join(' ')}" -- "$cur")) ;;
    compare) COMPREPLY=($(compgen -W "${compareWords().join(' ')}" -- "$cur")) ;;
    quantize) COMPREPLY=($(compgen -W "${quantizeWords().join(' ')}" -- "$cur")) ;;
    *) COMPREPLY=($(compgen -W "${optionWords().join(' ')}" -- "$cur")) ;;
  esac
}
complete -o default -F _vram vram
`;
    case 'zsh':
      return `#compdef vram
_vram() {
  case $words[CURRENT-1] in
    -m|--model) compadd -- \${(f)"$(vram completion --names models)"}; return ;;
    -g|--gpu) compadd -- \${(f)"$(vram completion --names gpus)"}; return ;;
    -w|--workload) compadd -- \${(f)"$(vram completion --names workloads)"}; _files; return ;;
    --deployment) compadd -- \${(f)"$(vram completion --names deployments)"}; _files; return ;;
    --for) compadd -- \${(f)"$(vram completion --names scenarios)"}; return ;;
    --policy) compadd -- \${(f)"$(vram completion --names policies)"}; return ;;
  esac
  if (( CURRENT == 2 )); then compadd -- ${commands.join(' ')}; return; fi
  case $words[2] in
    simulate) compadd -- ${simulateWords().join(' ')} ;;
    compare) compadd -- ${compareWords().join(' ')} ;;
    quantize) compadd -- ${quantizeWords().join(' ')} ;;
    *) compadd -- ${optionWords().join(' ')} ;;
  esac
  _files
}
compdef _vram vram
`;
    case 'fish':
      return [
        ...commands.map((name) => `complete -c vram -n __fish_use_subcommand -f -a ${name}`),
        "complete -c vram -s m -l model -x -a '(vram completion --names models)'",
        "complete -c vram -s g -l gpu -x -a '(vram completion --names gpus)'",
        "complete -c vram -s w -l workload -n '__fish_seen_subcommand_from simulate' -a '(vram completion --names workloads)'",
        "complete -c vram -l deployment -a '(vram completion --names deployments)'",
        "complete -c vram -l policy -n '__fish_seen_subcommand_from simulate' -x -a '(vram completion --names policies)'",
        ...optionWords()
          .filter(isPlain)
          .map((name) => `complete -c vram -l ${name.slice(2)}`),
        ...simulateWords()
          .filter((name) => isPlain(name) && !optionWords().includes(name))
          .map((name) => `complete -c vram -l ${name.slice(2)} -n '__fish_seen_subcommand_from simulate'`),
        "complete -c vram -l for -n '__fish_seen_subcommand_from compare' -x -a '(vram completion --names scenarios)'",
        ...compareOnly
          .filter((name) => name !== '--for')
          .map((name) => `complete -c vram -l ${name.slice(2)} -n '__fish_seen_subcommand_from compare' -x`),
        ...quantizeOnly.map(
          (name) => `complete -c vram -l ${name.slice(2)} -n '__fish_seen_subcommand_from quantize' -x`,
        ),
        '',
      ].join('\n');
    default:
      return undefined;
  }
}

/** Options whose values are files or free words. */
function isPlain(name: string): boolean {
  return !['--model', '--gpu', '--workload', '--policy', '--deployment'].includes(name);
}
