// Which token ids stand for what. Equal ids are equal tokens, so runs that have nothing to do with each other must never meet:
// every origin of tokens has a range of its own, all of them safe integers. Nothing here knows a file format.

/** Ids that a trace states: token ranges, and hash ids times their granularity. From 0 up to here. */
export const statedEnd = 2 ** 40;

/** Generated tokens: request i (in the order it was added) owns generatedStride ids from generatedFrom + i * generatedStride. */
export const generatedFrom = 2 ** 40;
export const generatedStride = 1_000_000;
export const generatedEnd = 2 ** 50;

/** Hash ids that are no small numbers (64-bit hashes, texts), numbered in order of first appearance. */
export const hashedFrom = 2 ** 50;
export const hashedEnd = 2 ** 51;

/** Generated tokens of requests that need more than one stride: more than a million tokens over all their samples. */
export const longGeneratedFrom = 2 ** 51;
export const longGeneratedEnd = 2 ** 52;

/** Prompt tokens that belong to one request alone. */
export const privateFrom = 2 ** 52;
export const privateEnd = 2 ** 53;

/** The most tokens that one prompt or one output may have, above the longest context of any model (10 million): more is a mistake. */
export const maxTokensOfRow = 2 ** 24;
