// What --model needs to take a GGUF file, in one place: the build makes a bundle of its own of it, which only such a plan reads.
export { readGguf } from './gguf.ts';
export { specFromGguf } from './gguf-spec.ts';
