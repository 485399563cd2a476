// The rows of an opened model: experts of a tensor are listed among the layers, with their number.
import { expect, test } from 'vitest';
import { open } from '../../../demo/panels/model/jobs/open.js';
import type { JobContext } from '../../../demo/worker/rpc.js';
import { readMatrix } from '../../../src/formats.js';
import { makeGguf, zeros } from '../../support/files.js';

const context = { signal: new AbortController().signal, progress: () => {}, breathe: async () => {} } as unknown as JobContext;

test('a layer, experts and a float matrix: a row for each, which a layer can be chosen by', async () => {
  const bytes = makeGguf([
    zeros('blk.0.attn_q.weight', 'Q8_0', [8, 32], 8 * 34),
    zeros('blk.0.ffn_up_exps.weight', 'Q4_0', [5, 4, 64], 5 * 4 * 36),
    zeros('output.weight', 'F16', [6, 32], 6 * 64),
  ]);
  const { model, opened } = await open([new File([bytes], 'model.gguf')], context);
  expect(opened.rows.map(({ name, what, kind, index, bits }) => [name, what, kind, index, bits])).toEqual([
    ['blk.0.attn_q.weight', 'GGUF Q8_0: weight', 'layer', 0, 8.5],
    ['blk.0.ffn_up_exps.weight', 'GGUF Q4_0, 5 experts: weight', 'layer', 1, 4.5],
    ['output.weight', 'not quantized', 'float', 0, 16],
  ]);
  expect(opened.layers).toEqual([
    { name: 'blk.0.attn_q', format: 'GGUF Q8_0', n: 8, k: 32, experts: undefined, fileBits: 8.5 },
    { name: 'blk.0.ffn_up_exps', format: 'GGUF Q4_0', n: 4, k: 64, experts: 5, fileBits: 4.5 },
  ]);
  expect(await readMatrix(model.layers[1]!)).toMatchObject({ n: 4, k: 64, bits: 4 });
});
