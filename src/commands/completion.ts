// `vram completion <shell>`: a completion script with the commands, their options and the names of the presets. The names are
// asked from `vram completion --names <kind>` at completion time, so that the script does not go stale.
import { inputError } from '../diagnostics.ts';
import type { Io } from '../io.ts';
import { presetIds } from '../load/presets.ts';
import { engineOptionTable, longNames } from '../spec/engine-options.ts';
import { makeCommand, parseCommand } from './command.ts';

const commands = ['plan', 'list', 'show', 'schema', 'completion'];
const planOptions = [
  '--model',
  '--gpu',
  '--gpu-memory',
  '--engine',
  '--context',
  '--concurrency',
  '--from-command',
  '--require',
  '--format',
  '--json',
  '--matrix',
  '--explain',
  '--assume-architecture',
  '--free-memory',
  '--output',
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
  if (names === 'models' || names === 'gpus') {
    io.out(`${presetIds(names).join('\n')}\n`);
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

function optionWords(): string {
  return [...planOptions, ...engineOptionTable.flatMap(longNames)].join(' ');
}

function scriptFor(shell: string | undefined): string | undefined {
  switch (shell) {
    case 'bash':
      return `_vram() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]}
  case $prev in
    -m|--model) COMPREPLY=($(compgen -W "$(vram completion --names models)" -- "$cur")); return ;;
    -g|--gpu) COMPREPLY=($(compgen -W "$(vram completion --names gpus)" -- "$cur")); return ;;
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then COMPREPLY=($(compgen -W "${commands.join(' ')}" -- "$cur")); return; fi
  COMPREPLY=($(compgen -W "${optionWords()}" -- "$cur"))
}
complete -o default -F _vram vram
`;
    case 'zsh':
      return `#compdef vram
_vram() {
  case $words[CURRENT-1] in
    -m|--model) compadd -- \${(f)"$(vram completion --names models)"}; return ;;
    -g|--gpu) compadd -- \${(f)"$(vram completion --names gpus)"}; return ;;
  esac
  if (( CURRENT == 2 )); then compadd -- ${commands.join(' ')}; return; fi
  compadd -- ${optionWords()}
  _files
}
compdef _vram vram
`;
    case 'fish':
      return [
        ...commands.map((name) => `complete -c vram -n __fish_use_subcommand -f -a ${name}`),
        "complete -c vram -s m -l model -x -a '(vram completion --names models)'",
        "complete -c vram -s g -l gpu -x -a '(vram completion --names gpus)'",
        ...[...planOptions, ...engineOptionTable.flatMap(longNames)]
          .filter((name) => name !== '--model' && name !== '--gpu')
          .map((name) => `complete -c vram -l ${name.slice(2)}`),
        '',
      ].join('\n');
    default:
      return undefined;
  }
}
