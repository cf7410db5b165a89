// Start-up lines and refusals of a vLLM release, filled with a plan's figures.
export { type RefusalFigures, refusalText } from './errors.ts';
export { type LogFigures, startupLog } from './log.ts';
export type { MessageRules } from './rules.ts';
