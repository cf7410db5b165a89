// Opens a GGUF file, or all parts of a split one, as a GgufModel. A file whose data is not there, or not all of it (the first megabytes
// of a download), opens too: the header alone gives every size. Law: llama-model-loader.cpp of llama.cpp.
import { closeSync, fstatSync, openSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type Diagnostic, type InputError, inputError } from '../diagnostics.ts';
import type { GgufFileFacts, GgufModel, GgufTensor, GgufValue } from '../spec/gguf.ts';
import { absolute, fileError, type LoadContext } from './context.ts';
import { type GgufHeader, readGgufHeader } from './gguf-header.ts';
import { printable } from './names.ts';

const maxParts = 1000;
const option = '--model';

interface Part {
  /** File name without directory. */
  name: string;
  fileBytes: number;
  header: GgufHeader;
}

/** What a file is to be: a language model, or the multimodal projector of one. */
export type GgufKind = 'model' | 'projector';

export interface OpenedGguf {
  model: GgufModel;
  /** Notes: what was read, what is missing. */
  diagnostics: Diagnostic[];
}

/** Reads the headers only. Throws InputError: VRAM123 broken or cut-off header, VRAM124 no model, VRAM125 missing parts. */
export function readGguf(path: string, context: LoadContext = {}, as: GgufKind = 'model'): OpenedGguf {
  const full = absolute(path, context);
  const parts = siblings(full, readPart(full, path));
  const [{ header }] = parts as [Part];
  const architecture = as === 'projector' ? projectorArchitecture(parts[0]!) : architectureOf(parts[0]!);
  const tensors = parts.flatMap((part) => part.header.tensors);
  if (tensors.length === 0) throw noModel(parts[0]!, 'only a vocabulary, no tensors');
  refuseTwice(parts);
  const fileType = header.keys.get('general.file_type');
  const missing = parts.reduce((sum, part) => sum + missingBytes(part), 0);
  const file: GgufFileFacts = {
    fileBytes: parts.reduce((sum, part) => sum + part.fileBytes, 0),
    dataBytes: parts.reduce((sum, part) => sum + part.header.dataBytes, 0),
    headerOnly: missing > 0,
    ...(typeof fileType === 'number' ? { fileType } : {}),
    parts: parts.length,
  };
  const vocabSize = vocabularyOf(architecture, header, tensors);
  const model = { architecture, metadata: metadataOf(architecture, header.keys), tensors, vocabSize, file };
  return { model, diagnostics: notes(parts, model, missing) };
}

function readPart(full: string, shown: string): Part {
  const name = basename(full);
  const broken = (reason: string) => brokenFile(name, reason);
  let handle: number;
  try {
    if (!statSync(full).isFile()) throw brokenFile(name, 'no regular file');
    handle = openSync(full, 'r');
  } catch (error) {
    throw fileError(error, shown, option);
  }
  try {
    const fileBytes = fstatSync(handle).size;
    return { name, fileBytes, header: readGgufHeader(handle, fileBytes, broken) };
  } catch (error) {
    throw fileError(error, shown, option);
  } finally {
    closeSync(handle);
  }
}

/** All parts in order, where the file is one of several. As in llama.cpp split.count decides, and the name says where the others are. */
function siblings(full: string, part: Part): Part[] {
  const count = part.header.keys.get('split.count');
  if (typeof count !== 'number' || count <= 1) return [part];
  const match = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/is.exec(part.name);
  if (!match || Number(match[3]) !== count || !(Number(match[2]) >= 1 && Number(match[2]) <= count)) {
    throw inputError('VRAM125', `${printable(part.name)} is one of ${count} parts, and its name does not say so`, {
      hint: `parts are found by their names: NAME-00001-of-${padded(count)}.gguf`,
      path: option,
    });
  }
  if (count > maxParts) throw brokenFile(part.name, `${count} parts (limit ${maxParts})`);
  const [, prefix, number] = match as unknown as [string, string, string];
  const extension = part.name.slice(-5);
  const names = Array.from({ length: count }, (_, i) => `${prefix}-${padded(i + 1)}-of-${padded(count)}${extension}`);
  const directory = dirname(full);
  const missing = names.filter((name) => !isThere(join(directory, name)));
  if (missing.length > 0) throw partsMissing(part.name, missing, count);
  const parts = names.map((name, i) => (i === Number(number) - 1 ? part : readPart(join(directory, name), name)));
  for (const [i, { name, header }] of parts.entries()) {
    const [no, of] = [header.keys.get('split.no'), header.keys.get('split.count')];
    if (no !== i || of !== count)
      throw brokenFile(name, `split.no and split.count say part ${no} of ${of}, counted from 0`);
  }
  return parts;
}

function padded(number: number): string {
  return String(number).padStart(5, '0');
}

function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

function partsMissing(name: string, missing: readonly string[], count: number): InputError {
  const listed = missing.slice(0, 8).map((file) => printable(file));
  const more = missing.length > listed.length ? ` and ${missing.length - listed.length} more` : '';
  return inputError(
    'VRAM125',
    `${printable(name)}: ${missing.length} of ${count} parts are missing: ${listed.join(', ')}${more}`,
    {
      hint: 'put all parts into one directory; the first megabytes of each are enough',
      path: option,
    },
  );
}

/** A tensor in two parts; split.tensors.count is the sum. */
function refuseTwice(parts: readonly Part[]): void {
  if (parts.length === 1) return;
  const seen = new Map<string, string>();
  for (const { name, header } of parts) {
    for (const tensor of header.tensors) {
      const other = seen.get(tensor.name);
      if (other !== undefined)
        throw brokenFile(name, `tensor ${printable(tensor.name)} is also in ${printable(other)}`);
      seen.set(tensor.name, name);
    }
  }
  const announced = parts[0]!.header.keys.get('split.tensors.count');
  if (typeof announced === 'number' && announced !== seen.size)
    throw brokenFile(parts[0]!.name, `its parts hold ${seen.size} tensors, ${announced} are announced`);
}

/** general.architecture; refuses what is no model: adapters, projectors, importance matrices. */
function architectureOf({ name, header }: Part): string {
  const type = header.keys.get('general.type');
  const architecture = header.keys.get('general.architecture');
  if ((typeof type === 'string' && type !== 'model') || architecture === 'clip') {
    throw noModel({ name }, kinds[String(type)] ?? 'a part of one');
  }
  if (typeof architecture !== 'string' || !/^[a-z0-9][\w.-]{0,63}$/i.test(architecture))
    throw brokenFile(name, 'general.architecture is missing or no name');
  return architecture;
}

function projectorArchitecture({ name, header }: Part): string {
  if (header.keys.get('general.architecture') === 'clip') return 'clip';
  throw inputError('VRAM124', `${printable(name)} is no multimodal projector`, {
    hint: 'its file has mmproj in its name',
    path: '--mmproj',
  });
}

function noModel({ name }: Pick<Part, 'name'>, what: string): InputError {
  return inputError('VRAM124', `${printable(name)} holds no model but ${what}`, {
    hint: 'give the file of the language model',
    path: option,
  });
}

const kinds: Readonly<Record<string, string>> = {
  adapter: 'a LoRA adapter',
  mmproj: 'a multimodal projector',
  imatrix: 'an importance matrix',
};

/** Keys of the architecture lose its name; another key of that name gives way. */
function metadataOf(architecture: string, keys: ReadonlyMap<string, GgufValue>): Record<string, GgufValue> {
  const prefix = `${architecture}.`;
  const own = [...keys].filter(([key]) => key.startsWith(prefix) && key.length > prefix.length);
  const others = [...keys].filter(([key]) => !key.startsWith(prefix));
  return Object.fromEntries([...others, ...own.map(([key, value]) => [key.slice(prefix.length), value] as const)]);
}

/** Rows of token_embd; llama.cpp refuses a file where the tokenizer has another number of tokens. */
function vocabularyOf(architecture: string, header: GgufHeader, tensors: readonly GgufTensor[]): number {
  const rows = tensors.find(({ name }) => name === 'token_embd.weight')?.ne[1];
  const stated = header.keys.get(`${architecture}.vocab_size`);
  return rows ?? header.lengths.get('tokenizer.ggml.tokens') ?? (typeof stated === 'number' ? stated : 0);
}

/** Bytes of data that the header announces and the file has not. */
function missingBytes({ fileBytes, header }: Part): number {
  if (header.dataBytes === 0) return 0;
  return Math.max(0, header.dataStart + header.dataBytes - header.lastPadding - fileBytes);
}

function notes(parts: readonly Part[], { tensors, file }: GgufModel, missing: number): Diagnostic[] {
  const where = parts.length === 1 ? printable(parts[0]!.name) : `${parts.length} files`;
  const message = `read the header of ${where}: ${tensors.length} tensors, ${file!.dataBytes} bytes`;
  const read: Diagnostic = { severity: 'note', code: 'VRAM120', message, path: option };
  if (missing === 0) return [read];
  const lacking = `${where}: the header is there, ${missing} of ${file!.dataBytes} bytes of tensor data are not`;
  return [
    read,
    { severity: 'note', code: 'VRAM126', message: lacking, hint: 'the header is all a plan needs', path: option },
  ];
}

function brokenFile(file: string, reason: string): InputError {
  return inputError('VRAM123', `${printable(file)}: ${reason}`, { path: printable(file) });
}
