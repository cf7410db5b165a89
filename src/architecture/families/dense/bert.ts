// Encoder-only models for embeddings and reranking: BERT, XLM-RoBERTa and Nomic BERT. Attention sees all tokens of a text at
// once, so nothing is kept in a KV cache. vllm/model_executor/models/{bert,roberta,bert_with_rope}.py.
import type { ModelSpec } from '../../../spec/model.ts';
import { attention, attentionSizes, column, embedding, linear, norm, range, replicated, row } from '../../build.ts';
import type { Architecture, Shard, TensorGroup } from '../../types.ts';
import { assemble, fusedQkv, numberOf, plainMlp, type TextOptions } from './parts.ts';

export function bert(spec: ModelSpec, options?: TextOptions): Architecture {
  return encoder(spec, options, 'bert', { by: 'vocabulary' });
}

/** RoBERTa keeps its position and token type tables whole on every rank. */
export function xlmRoberta(spec: ModelSpec, options?: TextOptions): Architecture {
  return encoder(spec, options, 'roberta', replicated);
}

function encoder(spec: ModelSpec, options: TextOptions | undefined, own: string, tables: Shard): Architecture {
  const { config } = spec;
  const { hiddenSize, vocabSize, intermediateSize = 4 * hiddenSize, maxPositionEmbeddings: positions = 512 } = config;
  const classifier = /ForSequenceClassification$/.test(spec.architecture);
  const roberta = own === 'roberta';
  const prefix = options?.prefix ?? (/Model$/.test(spec.architecture) ? '' : own);
  const at = (name: string) => (prefix === '' ? name : `${prefix}.${name}`);
  const layer = at('encoder.layer.{layer}');
  const sizes = attentionSizes(config);
  const where = { layers: range(config.layers), bias: true };
  const table = (name: string, rows: number): TensorGroup => ({
    ...embedding(at(`embeddings.${name}`), rows, hiddenSize),
    role: 'position-embedding',
    shard: tables,
  });
  return withoutCache(
    assemble(spec, {
      tensors: [
        embedding(at('embeddings.word_embeddings'), vocabSize, hiddenSize),
        table('position_embeddings', positions),
        table('token_type_embeddings', numberOf(config, 'typeVocabSize') ?? 2),
        ...norm(at('embeddings.LayerNorm'), hiddenSize, { bias: true }),
        ...attention(`${layer}.attention`, hiddenSize, sizes, {
          layers: where.layers,
          qkvBias: true,
          outBias: true,
          names: { q: 'self.query', k: 'self.key', v: 'self.value', o: 'output.dense' },
        }),
        ...norm(`${layer}.attention.output.LayerNorm`, hiddenSize, where),
        ...plainMlp(
          { up: `${layer}.intermediate.dense`, down: `${layer}.output.dense` },
          hiddenSize,
          intermediateSize,
          where,
        ),
        ...norm(`${layer}.output.LayerNorm`, hiddenSize, where),
        ...(classifier && roberta ? [] : pooler(at('pooler.dense'), hiddenSize, classifier)),
        ...(classifier ? classificationHead(spec, roberta) : []),
        positionIds(at('embeddings.position_ids'), positions),
      ],
      tied: true,
      sizes,
      intermediateSize,
      gated: false,
      rotary: [],
    }),
  );
}

/** Engines keep BERT's pooler for classifiers only: embeddings are pooled without it (bert.py skips its tensors). */
function pooler(name: string, size: number, kept: boolean): TensorGroup[] {
  const groups = dense(name, size, size);
  return kept ? groups : groups.map((group) => ({ ...group, unloaded: true }));
}

/** RoBERTa classifies through a dense layer of its own, BERT straight from the pooled vector. */
function classificationHead({ config }: ModelSpec, roberta: boolean): TensorGroup[] {
  const { hiddenSize } = config;
  const labels = numberOf(config, 'numLabels') ?? 1;
  if (!roberta) return dense('classifier', labels, hiddenSize);
  return [...dense('classifier.dense', hiddenSize, hiddenSize), ...dense('classifier.out_proj', labels, hiddenSize)];
}

/** The index of every position, which model classes keep as a buffer. */
function positionIds(name: string, positions: number): TensorGroup {
  const where = { role: 'other', shard: replicated, part: 'text' } as const;
  return { name, shape: [1, positions], ...where, dtype: 'int64', buffer: true, derived: true };
}

function dense(name: string, rows: number, columns: number): TensorGroup[] {
  return linear(name, [rows, columns], { role: 'other', shard: replicated, bias: true, linear: false });
}

/** Nomic BERT: rotary positions, gated MLP, no biases by default. */
export function nomicBert(spec: ModelSpec, options?: TextOptions): Architecture {
  const { config } = spec;
  const { hiddenSize, vocabSize, intermediateSize = 4 * hiddenSize } = config;
  const at = (name: string) => (options?.prefix ? `${options.prefix}.${name}` : name);
  const layer = at('encoder.layers.{layer}');
  const sizes = attentionSizes(config);
  const layers = range(config.layers);
  const bias = config.qkvProjBias !== false;
  const mlpBias = config.mlpFc1Bias !== false;
  const types = numberOf(config, 'typeVocabSize') ?? 0;
  const merge = `${layer}.mlp.gate_up_proj`;
  const into = { layers, shard: column, bias: mlpBias, merge } as const;
  const typeTable = { ...embedding(at('embeddings.token_type_embeddings'), types, hiddenSize), role: 'other' } as const;
  return withoutCache(
    assemble(spec, {
      tensors: [
        embedding(at('embeddings.word_embeddings'), vocabSize, hiddenSize),
        ...(types > 0 ? [typeTable] : []),
        ...norm(at('emb_ln'), hiddenSize, { bias: true }),
        ...fusedQkv(`${layer}.attn.Wqkv`, hiddenSize, sizes, { layers, bias }),
        ...linear(`${layer}.attn.out_proj`, [hiddenSize, sizes.queryDim], { layers, role: 'o', shard: row, bias }),
        ...linear(`${layer}.mlp.fc12`, [intermediateSize, hiddenSize], { ...into, role: 'gate' }),
        ...linear(`${layer}.mlp.fc11`, [intermediateSize, hiddenSize], { ...into, role: 'up' }),
        ...linear(`${layer}.mlp.fc2`, [hiddenSize, intermediateSize], {
          layers,
          role: 'down',
          shard: row,
          bias: mlpBias,
        }),
        ...norm(`${layer}.norm1`, hiddenSize, { layers, bias: true }),
        ...norm(`${layer}.norm2`, hiddenSize, { layers, bias: true }),
      ],
      tied: true,
      sizes,
      intermediateSize,
      gated: true,
      rotary: [
        {
          dim: Math.floor(sizes.headDim * (numberOf(config, 'rotaryEmbFraction') ?? 1)),
          rope: { theta: numberOf(config, 'rotaryEmbBase') ?? 10_000 },
          positions: config.maxPositionEmbeddings ?? numberOf(config, 'nPositions') ?? 8192,
        },
      ],
    }),
  );
}

function withoutCache(built: Architecture): Architecture {
  return { ...built, caches: built.caches.map(({ layer }) => ({ layer, caches: [] })) };
}
