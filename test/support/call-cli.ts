// Runs commands in this process and returns their output; makes small models for them. Holds no test.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import type { Io } from '../../cli/command.js';
import { run } from '../../cli/run.js';
import { encode16 } from '../../src/dtype.js';
import { type MadeTensor, makeSafetensors } from './files.js';
import { normals } from './normal-weights.js';

export interface Called {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  // biome-ignore lint/suspicious/noExplicitAny: documents are looked at by their fields
  readonly json: () => any;
}

export async function call(argv: readonly string[], io: Partial<Io> = {}): Promise<Called> {
  let [out, err] = ['', ''];
  const code = await run(argv, {
    columns: 80,
    live: false,
    signal: new AbortController().signal,
    findDevice: async () => ({ why: 'this test has none' }),
    ...io,
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
      io.err?.(text);
    },
  });
  return { code, out, err, json: () => JSON.parse(out) };
}

/** A folder that is gone after the tests of the file. */
export function folder(): (...parts: string[]) => string {
  const path = mkdtempSync(join(tmpdir(), 'antiquant-cli-'));
  afterAll(() => rmSync(path, { recursive: true, force: true }));
  return (...parts) => join(path, ...parts);
}

/** Weights of a few hundredths. */
export function matrix(name: string, shape: readonly number[], dtype: 'F16' | 'BF16' | 'F32' = 'F16'): MadeTensor {
  const values = normals(
    name,
    shape.reduce((a, b) => a * b, 1),
  ).map((value) => value / 32);
  const bits = dtype === 'F32' ? values : encode16(values, dtype === 'F16' ? 'float16' : 'bfloat16');
  return { name, dtype, shape, bytes: new Uint8Array(bits.buffer) };
}

/** Two blocks of a model, an embedding, a head, norms and a bias. N × K = 64 × 256 and 24 × 128. */
export const model = (): MadeTensor[] => [
  matrix('model.embed_tokens.weight', [32, 128], 'BF16'),
  ...[0, 1].flatMap((i) => [
    matrix(`model.layers.${i}.mlp.up_proj.weight`, [64, 256]),
    matrix(`model.layers.${i}.mlp.up_proj.bias`, [64]),
    matrix(`model.layers.${i}.mlp.gate.weight`, [8, 128]),
    matrix(`model.layers.${i}.attn.q_proj.weight`, [24, 128], i === 0 ? 'F32' : 'BF16'),
    matrix(`model.layers.${i}.input_layernorm.weight`, [128]),
  ]),
  matrix('model.odd.weight', [8, 100]),
  matrix('lm_head.weight', [32, 128]),
];

export function put(path: string, bytes: Uint8Array | string): string {
  writeFileSync(path, bytes);
  return path;
}
export const putModel = (path: string, tensors: readonly MadeTensor[] = model()): string => put(path, makeSafetensors(tensors));

/** No line is wider than this. */
export const widest = (text: string): number => Math.max(...text.split('\n').map((line) => line.length));
