// Reads what --from-command names where it starts llama.cpp: a llama-server or llama-cli line, docker run, LLAMA_ARG_* variables. Its
// options hold where our own command line says nothing; what was not taken is told.
import type { Diagnostic } from '../diagnostics.ts';
import { buildNumber, newestBuild } from '../engines/llamacpp/builds.ts';
import { type ReadLlamaCommand, readLlamaCommand } from '../engines/llamacpp/from-command.ts';
import { splitCommand } from '../engines/vllm/from-command.ts';
import { resolveLlamaRef } from '../load/engine.ts';
import { llamaFlags } from '../load/flags.ts';
import { printable } from '../load/names.ts';
import type { PlanArguments } from './plan-request.ts';

/** An existing llama-server or llama-cli line: what it says holds where our own options do not. */
export function withExisting(given: PlanArguments): {
  args: PlanArguments;
  diagnostics: Diagnostic[];
  gpuCount?: number;
} {
  if (given.commandWords === undefined && given.fromCommand === undefined) return { args: given, diagnostics: [] };
  const words = given.commandWords ?? splitCommand(given.fromCommand!, /llama/);
  const named = readLlamaCommand({ words, table: llamaFlags(), build: buildNumber(newestBuild)! }).build;
  const engine = given.engine ?? (named ? `llama.cpp@${named}` : 'llama.cpp');
  const { build } = resolveLlamaRef(engine);
  const read = readLlamaCommand({ words, table: llamaFlags(), build });
  const { model } = read;
  const path = model && ('path' in model ? model.path : (model.hfFile ?? model.hfRepo));
  return {
    args: {
      ...given,
      engine,
      model: given.model ?? path,
      llama: { ...read.options, ...given.llama },
    },
    diagnostics: [...read.diagnostics, ...notTaken(read)],
    ...(read.gpuCount === undefined ? {} : { gpuCount: read.gpuCount }),
  };
}

function notTaken({ unknown, otherBuild, others }: ReadLlamaCommand): Diagnostic[] {
  const path = '--from-command';
  const told: Diagnostic[] = [];
  const tell = (severity: 'warning' | 'note', code: string, message: string): void => {
    told.push({ severity, code, message, path });
  };
  if (unknown.length > 0)
    tell('warning', 'VRAM413', `no flags of llama.cpp: ${unknown.map((flag) => printable(flag)).join(', ')}`);
  for (const { flag, since, until, use } of otherBuild) {
    const when = until ? `is gone after ${until}` : `comes with ${since}`;
    tell('warning', 'VRAM414', `${printable(flag)} ${when}${use ? `; instead: ${use}` : ''}`);
  }
  const named = [...new Set(others.map(({ flag }) => flag))].filter(
    (flag) => !/^--(?:model|hf-|host|port|alias)/.test(flag),
  );
  if (named.length > 0) tell('note', 'VRAM415', `read, but without effect on this plan: ${named.join(', ')}`);
  return told;
}
