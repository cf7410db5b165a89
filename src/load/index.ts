// The loaders: everything that turns what a user names into specs. All input and output of the program on the way in is below.
export type { LoadContext } from './context.ts';
export { type ResolvedGpus, resolveGpus } from './gpu.ts';
export { type ResolvedModel, resolveModel } from './model.ts';
export { loadPresets } from './presets.ts';
export { parseSize } from './size.ts';
