// A file with its matrices in fewer bits. As int8 and int4 the library quantizes them on the GPU: it is given their float32 values. It makes no
// codes of 3 and 2 bits, so these are made here, by the same rule (the least and the largest of 32 weights are the ends of the grid), and lie in
// blocks of GGUF's Q4_1: d · code + m, with codes up to 7 or 3. Nothing is read before the library asks for it.
import { decode16, encode16 } from '../../../../src/dtype.js';
import { readTensor } from '../../../../src/files/open-file.js';
import { asFloats } from '../../../../src/files/raw-tensor.js';
import type { ByteSource, TensorFile, TensorInfo } from '../../../../src/files/tensor-file.js';
import { findLayers } from '../../../../src/formats/find-layers.js';
import { BITS, type Bits, type CodeBits, largestCode } from '../../../../src/problem/code-width.js';
import { dequantize } from '../../../../src/problem/matrix.js';

/** k that share a scale. */
export const GROUP = 32;
/** Bytes of a block of Q4_1: two halves, and 32 codes in nibbles. */
const BLOCK = 20;

/** Does the library's quantizer make such codes? */
export const isMade = (bits: CodeBits): bits is Bits => (BITS as readonly CodeBits[]).includes(bits);

/** A matrix (n, k) whose rows are read as floats. */
interface Matrix {
  readonly name: string;
  readonly n: number;
  readonly k: number;
  rows(first: number, last: number, signal?: AbortSignal): Promise<Float32Array<ArrayBuffer>>;
}

/** Rows [first, last) of a tensor's bytes. */
async function rawRows(info: TensorInfo, n: number, [first, last]: readonly [number, number], signal?: AbortSignal) {
  const row = (info.end - info.begin) / n;
  const raw = await readTensor(info, { begin: first * row, end: last * row, ...(signal && { signal }) });
  return { ...raw, shape: [last - first, ...info.shape.slice(1)] };
}

async function matricesOf(file: TensorFile, signal?: AbortSignal): Promise<readonly Matrix[]> {
  const { layers, floats } = await findLayers(file, signal ? { signal } : {});
  const quantized = layers.flatMap((layer): Matrix[] => {
    const { n, k, tensors } = layer;
    const info = tensors.weight;
    if (!info) return [];
    const rows: Matrix['rows'] = async (first, last, of) => {
      const weight = await rawRows(info, n, [first, last], of);
      return dequantize(layer.make({ weight }, { n: last - first, k }));
    };
    return [{ name: info.name, n, k, rows }];
  });
  const plain = floats.map((info): Matrix => {
    const [n, k] = info.shape as readonly [number, number];
    return { name: info.name, n, k, rows: async (first, last, of) => asFloats(await rawRows(info, n, [first, last], of)) };
  });
  return [...quantized, ...plain];
}

/** Bytes of whole rows, of which a part is asked for. */
function rowSource(
  { name, n }: Matrix,
  row: number,
  bytesOf: (first: number, last: number, signal?: AbortSignal) => Promise<Uint8Array<ArrayBuffer>>,
): ByteSource {
  return {
    name,
    size: n * row,
    async read(begin, end, signal) {
      const first = Math.floor(begin / row);
      const bytes = await bytesOf(first, Math.ceil(end / row), signal);
      return bytes.slice(begin - first * row, end - first * row);
    },
  };
}

/** Weights in groups of 32 as blocks of Q4_1 whose codes have `bits`. Pure. */
export function blocksOf(weights: Float32Array, bits: CodeBits): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array((weights.length / GROUP) * BLOCK);
  const most = largestCode(bits);
  for (let block = 0; block < weights.length / GROUP; block++) {
    const group = weights.subarray(block * GROUP, (block + 1) * GROUP);
    const least = Math.min(...group);
    const halves = Float32Array.of((Math.max(...group) - least) / most, least);
    const words = encode16(halves, 'float16');
    const [d, m] = decode16(words, 'float16');
    const at = block * BLOCK;
    out.set(new Uint8Array(words.buffer, words.byteOffset, 4), at);
    group.forEach((w, i) => {
      const code = d === 0 ? 0 : Math.max(0, Math.min(most, Math.round((w - m!) / d!)));
      out[at + 4 + (i % 16)]! |= i < 16 ? code : code << 4;
    });
  }
  return out;
}

/** The file with every matrix in the form that makes it have `bits`. @throws FormatError */
export async function inBits(file: TensorFile, bits: CodeBits, signal?: AbortSignal): Promise<TensorFile> {
  const tensors = new Map(file.tensors);
  const floats = isMade(bits);
  for (const matrix of await matricesOf(file, signal)) {
    const { name, n, k } = matrix;
    const source = floats
      ? rowSource(matrix, 4 * k, async (first, last, of) => new Uint8Array((await matrix.rows(first, last, of)).buffer))
      : rowSource(matrix, (k / GROUP) * BLOCK, async (first, last, of) => blocksOf(await matrix.rows(first, last, of), bits));
    tensors.set(name, { name, dtype: floats ? 'F32' : 'Q4_1', shape: [n, k], source, begin: 0, end: source.size });
  }
  return { ...file, tensors };
}
