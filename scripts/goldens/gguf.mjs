// Writes test/fixtures/gguf/TYPE.bin: random blocks of each GGUF type, and llama.cpp's numbers for them.
//
//   npm install --prefix node_modules/.cache/goldens --ignore-scripts --no-save node-llama-cpp @node-llama-cpp/linux-x64
//   node scripts/goldens/gguf.mjs
//
// For each type it writes a llama model whose token embeddings have that type, and gets the embedding of each token from llama.cpp. A
// product would quantize its activations, but an embedding (get_rows) is only dequantized to float32. The one layer has weights of 0 and
// adds 0. Then y = x / sqrt(mean(x²) + ε) · w. With ε = 2^60 and |x| < 2^14 the root's argument rounds to ε, so that with w = 2^30 every
// step is a product by a power of two, and y = x. To prove it, rows of float32 with odd bits are sent first and must come back unchanged.
// So the comparison needs no bound: values are equal (zeros lose their sign).
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const root = join(import.meta.dirname, '../..');
const from = createRequire(join(root, 'node_modules/.cache/goldens/package.json'));
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(from.resolve('node-llama-cpp')).href);

const WIDTH = 256;
const BYTES = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
const TOKENS = ['<unk>', '<s>', '</s>', ...BYTES]; // the least that a vocabulary must have
const ROWS = 2; // rows to read; other rows of the vocabulary are zeros

// id of enum ggml_type, elements and bytes of a block, where its float16 fields are, and its byte that is an exponent (ggml-common.h).
const TYPES = {
  Q4_0: { id: 2, block: 32, bytes: 18, halves: [0] },
  Q4_1: { id: 3, block: 32, bytes: 20, halves: [0, 2] },
  Q5_0: { id: 6, block: 32, bytes: 22, halves: [0] },
  Q5_1: { id: 7, block: 32, bytes: 24, halves: [0, 2] },
  Q8_0: { id: 8, block: 32, bytes: 34, halves: [0] },
  Q2_K: { id: 10, block: 256, bytes: 84, halves: [80, 82] },
  Q3_K: { id: 11, block: 256, bytes: 110, halves: [108] },
  Q4_K: { id: 12, block: 256, bytes: 144, halves: [0, 2] },
  Q5_K: { id: 13, block: 256, bytes: 176, halves: [0, 2] },
  Q6_K: { id: 14, block: 256, bytes: 210, halves: [208] },
  IQ4_NL: { id: 20, block: 32, bytes: 18, halves: [0] },
  IQ4_XS: { id: 23, block: 256, bytes: 136, halves: [0] },
  MXFP4: { id: 39, block: 32, bytes: 17, halves: [], exponent: 0 },
  TQ1_0: { id: 34, block: 256, bytes: 54, halves: [52] },
  TQ2_0: { id: 35, block: 256, bytes: 66, halves: [64] },
};

let state = 0x9e3779b9;
/** xorshift32: the same blocks on every run. */
const random = () => {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return state >>> 0;
};

function randomBlocks({ block, bytes, halves, exponent }) {
  const out = Uint8Array.from({ length: (ROWS * WIDTH * bytes) / block }, () => random() >>> 24);
  for (let at = 0; at < out.length; at += bytes) {
    // Of either sign, all bits of the fraction, exponents from subnormal to 2^-1.
    for (const half of halves) out[at + half + 1] = (out[at + half + 1] & 0x83) | ((random() % 15) << 2);
    if (exponent !== undefined) out[at + exponent] = 127 - 24 + (random() % 32);
  }
  return out;
}

const little = (bytes, write) => {
  const view = new DataView(new ArrayBuffer(bytes));
  write(view);
  return Buffer.from(view.buffer);
};
const u32 = (value) => little(4, (view) => view.setUint32(0, value, true));
const u64 = (value) => little(8, (view) => view.setBigUint64(0, BigInt(value), true));
const f32 = (value) => little(4, (view) => view.setFloat32(0, value, true));
const string = (value) => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);
const list = (type, items) => Buffer.concat([u32(9), u32(type), u64(items.length), ...items]);
const align = (bytes) => Buffer.concat([bytes, Buffer.alloc(-bytes.length & 31)]);

/** A GGUF 3 file: a llama with one layer that adds 0. */
function model(id, embeddings) {
  const pairs = {
    'general.architecture': Buffer.concat([u32(8), string('llama')]),
    'llama.context_length': Buffer.concat([u32(4), u32(32)]),
    'llama.embedding_length': Buffer.concat([u32(4), u32(WIDTH)]),
    'llama.block_count': Buffer.concat([u32(4), u32(1)]),
    'llama.feed_forward_length': Buffer.concat([u32(4), u32(WIDTH)]),
    'llama.attention.head_count': Buffer.concat([u32(4), u32(1)]),
    'llama.attention.layer_norm_rms_epsilon': Buffer.concat([u32(6), f32(2 ** 60)]),
    'tokenizer.ggml.model': Buffer.concat([u32(8), string('llama')]),
    'tokenizer.ggml.tokens': list(8, TOKENS.map(string)),
    'tokenizer.ggml.scores': list(
      6,
      TOKENS.map(() => f32(0)),
    ),
    'tokenizer.ggml.token_type': list(
      5,
      TOKENS.map((_, i) => u32([2, 3, 3][i] ?? 6)),
    ),
    'tokenizer.ggml.add_bos_token': Buffer.concat([u32(7), Buffer.from([0])]),
    'tokenizer.ggml.add_eos_token': Buffer.concat([u32(7), Buffer.from([0])]),
  };
  const floats = (length, value) => Buffer.from(new Float32Array(length).fill(value).buffer);
  const padded = Buffer.concat([embeddings, Buffer.alloc((embeddings.length / ROWS) * (TOKENS.length - ROWS))]);
  const tensors = [
    { name: 'token_embd.weight', id, sizes: [WIDTH, TOKENS.length], data: padded },
    { name: 'output_norm.weight', id: 0, sizes: [WIDTH], data: floats(WIDTH, 2 ** 30) },
    { name: 'output.weight', id: 0, sizes: [WIDTH, TOKENS.length], data: floats(WIDTH * TOKENS.length, 0) },
    ...['attn_norm', 'ffn_norm'].map((name) => ({ name: `blk.0.${name}.weight`, id: 0, sizes: [WIDTH], data: floats(WIDTH, 1) })),
    ...['attn_q', 'attn_k', 'attn_v', 'attn_output', 'ffn_gate', 'ffn_up', 'ffn_down'].map((name) => ({
      name: `blk.0.${name}.weight`,
      id: 0,
      sizes: [WIDTH, WIDTH],
      data: floats(WIDTH * WIDTH, 0),
    })),
  ];
  const parts = [Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(Object.keys(pairs).length)];
  for (const [key, value] of Object.entries(pairs)) parts.push(string(key), value);
  let offset = 0;
  for (const { name, id: type, sizes, data } of tensors) {
    parts.push(string(name), u32(sizes.length), ...sizes.map(u64), u32(type), u64(offset));
    offset += align(data).length;
  }
  return Buffer.concat([align(Buffer.concat(parts)), ...tensors.map(({ data }) => align(data))]);
}

const llama = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error });
const folder = mkdtempSync(join(tmpdir(), 'gguf-'));

/** llama.cpp's numbers for the rows. */
async function rowsBy(id, embeddings) {
  const path = join(folder, `${id}.gguf`);
  writeFileSync(path, model(id, Buffer.from(embeddings.buffer)));
  const loaded = await llama.loadModel({ modelPath: path });
  const context = await loaded.createEmbeddingContext({ contextSize: 32 });
  const out = new Float32Array(ROWS * WIDTH);
  for (let row = 0; row < ROWS; row++) out.set((await context.getEmbeddingFor([row])).vector, row * WIDTH);
  await loaded.dispose();
  return out;
}

try {
  const odd = Float32Array.from({ length: ROWS * WIDTH }, () => ((random() | 1) / 2 ** 32 - 0.5) * 2 ** ((random() % 40) - 27));
  const back = await rowsBy(0, odd);
  const wrong = odd.findIndex((value, i) => value !== back[i]);
  if (wrong >= 0) throw new Error(`float32 row: expected ${odd[wrong]} back at ${wrong}, got ${back[wrong]}`);

  const fixtures = join(root, 'test/fixtures/gguf');
  mkdirSync(fixtures, { recursive: true });
  for (const [name, type] of Object.entries(TYPES)) {
    const blocks = randomBlocks(type);
    const values = await rowsBy(type.id, blocks);
    if (values.some((value) => !(Math.abs(value) < 2 ** 14))) throw new Error(`${name}: expected values below 2^14`);
    writeFileSync(join(fixtures, `${name}.bin`), Buffer.concat([blocks, Buffer.from(values.buffer)]));
    console.log(`${name}: ${new Set(values).size} different values, ${values.reduce((a, b) => Math.max(a, Math.abs(b)), 0)} at most`);
  }
} finally {
  rmSync(folder, { recursive: true });
  await llama.dispose();
}
