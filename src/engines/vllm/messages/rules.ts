// The rules of presets/engines/vllm/messages.yaml: the lines and error texts of a release as templates.

export interface MessageRules {
  'messages.load': string;
  'messages.eagle': { sharedEmbedding: string; ownEmbedding: string; sharedHead: string; ownHead: string } | null;
  'messages.loadSecondRunner': string;
  'messages.v0Profile': string;
  'messages.v0Blocks': string;
  'messages.v0DeviceWord': string;
  'messages.profile': string | null;
  'messages.kvBytes': string | null;
  'messages.blocks': string | null;
  'messages.tokens': string | null;
  'messages.concurrency': string | null;
  'messages.tokensAndConcurrency': string | null;
  'messages.graphsProfiling': string | null;
  'messages.graphsEstimate': string | null;
  'messages.graphsDone': string;
  'messages.summary': string | null;
  'messages.override': string;
  'messages.fixedKvBytes': string | null;
  'messages.freeMemory': string | null;
  'messages.noMemory': string;
  'messages.tooLong': string;
  'messages.tooLongEstimate': string;
  'messages.tooLongV0': string;
}
