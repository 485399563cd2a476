// A GGUF file as an ONNX model, for onnxruntime-web: the operators that exporters of decoders write for its WebGPU provider, and the codes and
// scales of the file as they are. Operators: onnxruntime's docs/ContribOperators.md.
import { decode16 } from '../../src/dtype.js';
import { readTensor } from '../../src/files/open-file.js';
import type { RawTensor } from '../../src/files/raw-tensor.js';
import { findTensors } from '../../src/llm/model-tensors.js';
import type { Role } from '../../src/llm/names.js';
import { frequencies } from '../../src/llm/rope.js';
import { openLanguageModel } from '../../src/model/open-language-model.js';
import { graphProto, type OnnxNode, type OnnxTensor } from '../../test/support/onnx-file.js';
import { ELEMENT, type Element, encode, float, type Message, valueInfo } from '../../test/support/onnx-model.js';

export interface OnnxModelOptions {
  /** Positions of the cache, and of the tables of angles. */
  readonly context: number;
  /** Of MatMulNBits. 0, the default: as x's type; 4: x may be rounded to int8. */
  readonly accuracyLevel?: 0 | 4;
}

const BLOCK = 32;

/** Blocks of a float16 scale and 32 codes, from which the middle is subtracted. */
const BLOCKS: Readonly<Record<string, { readonly bits: 4 | 8; readonly codes: (block: Uint8Array) => Uint8Array }>> = {
  // Low nibbles are the first 16 codes, high ones the last; here two neighbours share a byte.
  Q4_0: {
    bits: 4,
    codes: (block) =>
      Uint8Array.from({ length: 16 }, (_, i) => {
        const nibble = (j: number): number => (j < 16 ? block[j]! & 15 : block[j - 16]! >> 4);
        return nibble(2 * i) | (nibble(2 * i + 1) << 4);
      }),
  },
  Q8_0: { bits: 8, codes: (block) => block.map((byte) => byte ^ 128) },
};

interface Codes {
  readonly bits: 4 | 8;
  readonly n: number;
  readonly k: number;
  readonly codes: Uint8Array;
  /** float16 */
  readonly scales: Uint16Array;
}

function codesOf({ dtype, shape, bytes, name }: RawTensor): Codes {
  const type = BLOCKS[dtype];
  if (!type) throw new Error(`${name}: a matrix of ${Object.keys(BLOCKS).join(' or ')} was expected, not ${dtype}`);
  const [n, k] = shape as [number, number];
  const count = (n * k) / BLOCK;
  const [width, size] = [(BLOCK * type.bits) / 8, bytes.length / count];
  const codes = new Uint8Array(count * width);
  const scales = new Uint16Array(count);
  for (let i = 0; i < count; i++) {
    const block = bytes.subarray(i * size, (i + 1) * size);
    scales[i] = block[0]! | (block[1]! << 8);
    codes.set(type.codes(block.subarray(2)), i * width);
  }
  return { bits: type.bits, n, k, codes, scales };
}

/** Matrices, one below the other. */
function joined(parts: readonly Codes[]): Codes {
  const [{ bits, k }] = parts as [Codes];
  if (parts.some((one) => one.bits !== bits || one.k !== k)) throw new Error('matrices that are joined have one type');
  const codes = new Uint8Array(parts.reduce((sum, one) => sum + one.codes.length, 0));
  const scales = new Uint16Array(parts.reduce((sum, one) => sum + one.scales.length, 0));
  let [at, scale] = [0, 0];
  for (const one of parts) {
    codes.set(one.codes, at);
    scales.set(one.scales, scale);
    at += one.codes.length;
    scale += one.scales.length;
  }
  return { bits, k, n: parts.reduce((sum, one) => sum + one.n, 0), codes, scales };
}

const float32 = ({ dtype, bytes, name }: RawTensor): Float32Array => {
  if (dtype !== 'F32') throw new Error(`${name}: F32 was expected, not ${dtype}`);
  return new Float32Array(bytes.slice().buffer);
};
const concat = (parts: readonly Float32Array[]): Float32Array => Float32Array.from(parts.flatMap((one) => [...one]));

/**
 * A llama or qwen2 model of Q4_0 or Q8_0: input_ids (1, T), seqlens_k (1), total_sequence_length (), past.L.key and .value (1, V, context, e) →
 * logits (1, 1, vocabulary) and next_id (1, 1) of the last row, and present.L.key and .value, which are to be the same buffers.
 * @param path of a GGUF file
 */
export async function onnxModel(path: string | Uint8Array<ArrayBuffer>, options: OnnxModelOptions): Promise<Uint8Array> {
  const { context, accuracyLevel = 0 } = options;
  const { file, config } = await openLanguageModel(path);
  const { architecture, layers, heads, kvHeads, headWidth: e, width: d, vocabulary, epsilon, biases, rope } = config;
  if (architecture !== 'llama' && architecture !== 'qwen2') throw new Error(`llama or qwen2 was expected, not ${architecture}`);
  if (config.windows || config.experts) throw new Error('a model without windows and experts was expected');

  const infos = findTensors(file, config, 'gguf');
  const read = async (role: Role): Promise<RawTensor> => readTensor(infos.get(role)!);
  const nodes: OnnxNode[] = [];
  const tensors: OnnxTensor[] = [];
  const raw = (array: ArrayBufferView): Uint8Array => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  const tensor = (name: string, type: Element, dims: readonly number[], values: ArrayBufferView): string => {
    tensors.push({ name, type: ELEMENT[type], dims, raw: raw(values) });
    return name;
  };
  const floats = (name: string, values: Float32Array, dims: readonly number[] = [values.length]): string =>
    tensor(name, 'float32', dims, values);
  const scalesOf = (name: string, { scales, n, k }: Codes): string => {
    return tensor(name, 'float32', [n, k / BLOCK], decode16(scales, 'float16'));
  };
  const node = (op: string, inputs: readonly string[], outputs: readonly string[], rest: Partial<OnnxNode> = {}): string => {
    nodes.push({ op, name: `${op} ${nodes.length}`, inputs, outputs, domain: 'com.microsoft', ...rest });
    return outputs[0]!;
  };
  const product = (name: string, x: string, codes: Codes, bias = ''): string => {
    const { bits, n, k } = codes;
    const weights = [tensor(`${name}.codes`, 'uint8', [n, k / BLOCK, (BLOCK * bits) / 8], codes.codes), scalesOf(`${name}.scales`, codes)];
    const inputs = [x, ...weights, ...(bias ? ['', '', bias] : [])];
    return node('MatMulNBits', inputs, [name], { ints: { K: k, N: n, bits, block_size: BLOCK, accuracy_level: accuracyLevel } });
  };

  const perPosition = frequencies(rope, config.rope.divisors ? float32(await read('ropeDivisors')) : undefined);
  const angles = (of: (angle: number) => number): Float32Array =>
    Float32Array.from({ length: context * perPosition.length }, (_, i) =>
      of(Math.floor(i / perPosition.length) * perPosition[i % perPosition.length]!),
    );
  const tables = [Math.cos, Math.sin].map((of, i) => floats(['cos', 'sin'][i]!, angles(of), [context, perPosition.length]));

  const embedding = codesOf(await read('embedding'));
  const { bits } = embedding;
  let x = node(
    'GatherBlockQuantized',
    [
      tensor('embedding.codes', 'uint8', [vocabulary, (d * bits) / 8], embedding.codes),
      'input_ids',
      scalesOf('embedding.scales', embedding),
    ],
    ['embedded'],
    { ints: { gather_axis: 0, quantize_axis: 1, block_size: BLOCK, bits } },
  );
  /** The norm of x + added, and that sum. */
  const norm = async (name: string, role: Role, added?: string): Promise<string> => {
    const w = floats(`${name}.weight`, float32(await read(role)));
    if (!added)
      return node('SimplifiedLayerNormalization', [x, w], [name], {
        domain: '',
        ints: { axis: -1, stash_type: 1 },
        attributes: [float('epsilon', epsilon)],
      });
    const sum = `${name}.sum`;
    node('SkipSimplifiedLayerNormalization', [x, added, w], [name, '', '', sum], { attributes: [float('epsilon', epsilon)] });
    x = sum;
    return name;
  };
  const caches: string[] = [];
  let added: string | undefined;
  for (let layer = 0; layer < layers; layer++) {
    const of = (part: string): string => `${layer}.${part}`;
    const codes = async (part: 'q' | 'k' | 'v' | 'o' | 'gate' | 'up' | 'down'): Promise<Codes> => codesOf(await read(`${part}.${layer}`));
    const h = await norm(of('attentionNorm'), `attentionNorm.${layer}`, added);
    const bias =
      biases.length > 0
        ? floats(of('bias'), concat(await Promise.all(biases.map(async (part) => float32(await read(`${part}.${layer}`))))))
        : undefined;
    const qkv = product(of('qkv'), h, joined(await Promise.all((['q', 'k', 'v'] as const).map(codes))), bias);
    const [pastK, pastV, presentK, presentV] = ['past', 'present'].flatMap((when) =>
      ['key', 'value'].map((what) => `${when}.${layer}.${what}`),
    ) as [string, string, string, string];
    caches.push(pastK, pastV);
    const attended = node(
      'GroupQueryAttention',
      [qkv, '', '', pastK, pastV, 'seqlens_k', 'total_sequence_length', ...tables],
      [of('attended'), presentK, presentV],
      { ints: { num_heads: heads, kv_num_heads: kvHeads, do_rotary: 1, rotary_interleaved: rope.kind === 'pairs' ? 1 : 0 } },
    );
    added = product(of('o'), attended, await codes('o'));
    const g = await norm(of('feedForwardNorm'), `feedForwardNorm.${layer}`, added);
    const gate = product(of('gate'), g, await codes('gate'));
    const up = product(of('up'), g, await codes('up'));
    const sigmoid = node('Sigmoid', [gate], [of('sigmoid')], { domain: '' });
    const silu = node('Mul', [gate, sigmoid], [of('silu')], { domain: '' });
    added = product(of('down'), node('Mul', [silu, up], [of('act')], { domain: '' }), await codes('down'));
  }
  // Of a prompt the last row alone goes through the head.
  const last = await norm('outputNorm', 'outputNorm', added);
  const row = node('Gather', [last, tensor('last', 'int64', [1], BigInt64Array.of(-1n))], ['lastRow'], { domain: '', ints: { axis: 1 } });
  const logits = product('logits', row, config.tied ? embedding : codesOf(await read('head')));
  node('ArgMax', [logits], ['next_id'], { domain: '', ints: { axis: -1, keepdims: 0 } });
  const cacheInfo = (name: string): Message => valueInfo(name, 'float32', [1, kvHeads, context, e]);
  const graph = {
    ...graphProto(nodes, tensors),
    name: 'graph',
    input: [
      valueInfo('input_ids', 'int64', [1, 'T']),
      valueInfo('seqlens_k', 'int32', [1]),
      valueInfo('total_sequence_length', 'int32', []),
      ...caches.map(cacheInfo),
    ],
    output: [
      valueInfo('logits', 'float32', [1, 1, vocabulary]),
      valueInfo('next_id', 'int64', [1, 1]),
      ...caches.map((name) => cacheInfo(name.replace('past', 'present'))),
    ],
  };
  const opset_import = Object.entries({ '': 21, 'com.microsoft': 1 }).map(([domain, version]) => ({ domain, version }));
  return encode('Model', { ir_version: 10, graph, opset_import });
}
