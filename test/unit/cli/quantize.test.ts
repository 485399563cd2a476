// antiquant quantize: its output equals that of the library's quantizer and writers; stopped runs continue; files are not overwritten
// without --force.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { expect, test, vi } from 'vitest';
import { decode16 } from '../../../src/dtype.js';
import {
  byteSource,
  compressedTensorsTensors,
  dequantize,
  findLayers,
  openModel,
  openSafetensors,
  type RawTensor,
  readMatrix,
  readTensor,
  torchNpuTensors,
} from '../../../src/formats.js';
import type { Bits } from '../../../src/problem/code-width.js';
import { quantize } from '../../../src/quantize/quantize.js';
import { call, folder, matrix, model, put, putModel, widest } from '../../support/call-cli.js';
import { type MadeTensor, makeGguf } from '../../support/files.js';
import { normals } from '../../support/normal-weights.js';

const at = folder();
vi.setConfig({ testTimeout: 60_000 }); // many files are written; machines may be busy

const tensorsOf = async (path: string): Promise<Map<string, RawTensor>> => {
  const { tensors } = await openModel(path);
  return new Map(await Promise.all([...tensors.values()].map(async (info) => [info.name, await readTensor(info)] as const)));
};
const floatsOf = ({ dtype, bytes }: MadeTensor): Float32Array =>
  dtype === 'F32'
    ? new Float32Array(bytes.slice().buffer)
    : decode16(new Uint16Array(bytes.slice().buffer), dtype === 'F16' ? 'float16' : 'bfloat16');

test('a model: linear layers as the library makes them, all else byte for byte, and what was done with each', async () => {
  mkdirSync(at('in'));
  putModel(at('in', 'model.safetensors'));
  put(at('in', 'config.json'), '{"model_type":"test"}');
  const { code, out, err } = await call(['quantize', at('in'), at('out'), '--group', '64', '--method', 'mse', '--json']);
  expect(code, err).toBe(0);
  const document = JSON.parse(out);
  const written = await tensorsOf(at('out', 'model.safetensors'));
  const layers = ['model.layers.0.mlp.up_proj', 'model.layers.0.attn.q_proj', 'model.layers.1.mlp.up_proj', 'model.layers.1.attn.q_proj'];
  expect(document.layers.map(({ name }: { name: string }) => name)).toEqual(layers);
  for (const made of model()) {
    const name = made.name.replace(/\.weight$/, '');
    if (!layers.includes(name)) {
      expect(written.get(made.name)).toMatchObject({ dtype: made.dtype, shape: made.shape });
      expect(written.get(made.name)!.bytes).toEqual(made.bytes);
      continue;
    }
    expect(written.has(made.name)).toBe(false);
    const [n, k] = made.shape as [number, number];
    const layer = quantize(floatsOf(made), { n, k, bits: 4, groupSize: 64, method: 'mse' });
    for (const { name: part, dtype, shape, bytes } of compressedTensorsTensors(name, layer)) {
      expect(written.get(part)).toMatchObject({ dtype, shape });
      expect(written.get(part)!.bytes, part).toEqual(bytes);
    }
    const report = document.layers.find((one: { name: string }) => one.name === name);
    expect(report.sqnr).toBeCloseTo(layer.report.sqnr, 6);
    expect(report.maxError).toBe(layer.report.maxError);
    expect(report.bytes).toBe(layer.report.bytes);
  }
  expect(document).toMatchObject({
    command: 'quantize',
    settings: { bits: 4, group: 64, symmetric: false, method: 'mse', scheme: 'compressed-tensors', dtype: 'float16' },
    shards: [{ name: 'model.safetensors', bytes: statSync(at('out', 'model.safetensors')).size, resumed: false }],
    otherTensors: 0,
  });
  expect(Object.fromEntries(document.copied.map(({ name, why }: { name: string; why: string }) => [name, why]))).toEqual({
    'model.embed_tokens.weight': 'an embedding; --include takes it',
    'model.layers.0.mlp.gate.weight': 'a router of experts; --include takes it',
    'model.layers.1.mlp.gate.weight': 'a router of experts; --include takes it',
    'model.odd.weight': 'K = 100 is not a multiple of --group 64',
    'lm_head.weight': 'the head; --include takes it',
    'model.layers.0.mlp.up_proj.bias': 'no matrix',
    'model.layers.0.input_layernorm.weight': 'no matrix',
    'model.layers.1.mlp.up_proj.bias': 'no matrix',
    'model.layers.1.input_layernorm.weight': 'no matrix',
  });
  const config = JSON.parse(readFileSync(at('out', 'config.json'), 'utf8'));
  expect(config.model_type).toBe('test');
  expect(config.quantization_config).toEqual(document.quantizationConfig);
  expect(config.quantization_config.config_groups.group_0.weights).toMatchObject({
    num_bits: 4,
    group_size: 64,
    strategy: 'group',
    symmetric: false,
  });
  expect(config.quantization_config.ignore.sort()).toEqual([
    'lm_head',
    'model.embed_tokens',
    'model.layers.0.mlp.gate',
    'model.layers.1.mlp.gate',
    'model.odd',
  ]);

  // quantize → inspect → verify
  const inspected = (await call(['inspect', at('out'), '--json'])).json();
  expect(inspected.layers.map(({ name, bits, groupSize }: never) => [name, bits, groupSize])).toEqual(layers.map((name) => [name, 4, 64]));
  expect(inspected.refused).toEqual([]);
  const verified = await call(['verify', at('out'), '--json']);
  expect(verified.code).toBe(0);
  expect(verified.json()).toMatchObject({ ok: true, gpu: null, noGpu: 'this test has none' });
  expect(verified.json().layers).toHaveLength(4);
});

test('the table fits 80 columns', async () => {
  const { code, out, err } = await call(['quantize', putModel(at('table.safetensors')), at('table-out.safetensors')]);
  expect(code, err).toBe(0);
  expect(widest(out)).toBeLessThanOrEqual(80);
  expect(out).toMatch(/model\.layers\.0\.mlp\.up_proj +64 × 256 +4\.19 +\d\d\.\d\d +\d\.\de-\d/);
  expect(existsSync(at('config.json'))).toBe(false);
  expect(err).toMatch(/^10%|\n100%/);
});

test.each([
  ['torch_npu', '4', '64', 'hqq'],
  ['torch_npu', '8', '0', 'minmax'],
  ['compressed-tensors', '8', '32', 'minmax'],
] as const)('layers of more rows than are quantized at once: %s, %s bits, groups of %s, %s', async (scheme, bits, group, method) => {
  const [n, k] = [2 ** 13 + 20, 256]; // two pieces of 4096 rows, and 20 rows
  const [weight, bias] = [matrix('a.weight', [n, k]), matrix('a.bias', [n], 'BF16')];
  const path = at(`big-${scheme}-${bits}.safetensors`);
  const input = putModel(at('big.safetensors'), [weight, bias]);
  const argv = ['quantize', input, path, '--scheme', scheme, '--bits', bits, '--group', group, '--method', method, '--json'];
  const { code, err, json } = await call(argv);
  expect(code, err).toBe(0);
  const groups = group === '0' ? {} : { groupSize: Number(group) };
  const layer = quantize(floatsOf(weight), { n, k, bits: Number(bits) as Bits, method, ...groups });
  const written = await tensorsOf(path);
  const wanted = scheme === 'torch_npu' ? torchNpuTensors('a', layer, { bias }) : [...compressedTensorsTensors('a', layer), bias];
  expect([...written.keys()]).toEqual(wanted.map(({ name }) => name));
  for (const { name, dtype, shape, bytes } of wanted) {
    expect(written.get(name)).toMatchObject({ dtype, shape });
    expect(Buffer.compare(written.get(name)!.bytes, bytes), name).toBe(0);
  }
  const [report] = json().layers;
  expect(report.sqnr).toBeCloseTo(layer.report.sqnr, 6);
  expect([report.maxError, report.bytes, report.bitsPerWeight]).toEqual([
    layer.report.maxError,
    layer.report.bytes,
    layer.report.bitsPerWeight,
  ]);
});

test('SQNR of a layer of which a piece, or all, is exact', async () => {
  const [n, k] = [2 ** 13, 256];
  const values = Float32Array.from({ length: n * k }, (_, i) => (i % 16) - 7); // codes 0 … 15 of scale 1
  const input = (): string =>
    putModel(at('exact.safetensors'), [{ name: 'a.weight', dtype: 'F32', shape: [n, k], bytes: new Uint8Array(values.buffer) }]);
  const exact = await call(['quantize', input(), at('exact-out.safetensors'), '--json']);
  expect(exact.json().layers[0]).toMatchObject({ sqnr: null, maxError: 0 });
  expect((await call(['quantize', input(), at('exact-text.safetensors')])).out).toMatch(/a +8192 × 256 +4\.19 +exact +0\.0e\+0/);
  for (let i = 5000 * k; i < values.length; i++) values[i]! += 0.1 * Math.sin(i);
  const { report } = quantize(values, { n, k, bits: 4, groupSize: 128 });
  const partly = (await call(['quantize', input(), at('partly-out.safetensors'), '--json'])).json();
  expect(partly.layers[0].sqnr).toBeCloseTo(report.sqnr, 6);
});

test('--include takes what is spared otherwise, and nothing else; --exclude leaves out', async () => {
  const input = putModel(at('choose.safetensors'));
  const names = async (...flags: string[]): Promise<string[]> => {
    const { json } = await call(['quantize', input, at('choose-out.safetensors'), '--force', '--json', ...flags]);
    return json().layers.map(({ name }: { name: string }) => name);
  };
  expect(await names('--include', 'lm_head|embed|layers.0.mlp')).toEqual([
    'model.embed_tokens',
    'model.layers.0.mlp.up_proj',
    'model.layers.0.mlp.gate',
    'lm_head',
  ]);
  expect(await names('--exclude', 'attn')).toEqual(['model.layers.0.mlp.up_proj', 'model.layers.1.mlp.up_proj']);
  expect(await names('--include', 'attn', '--exclude', '\\.1\\.')).toEqual(['model.layers.0.attn.q_proj']);
});

test('GGUF of floats', async () => {
  const weight = matrix('blk.0.attn_q.weight', [16, 64], 'BF16');
  const input = put(at('floats.gguf'), makeGguf([matrix('token_embd.weight', [8, 64]), weight, matrix('output.weight', [8, 64], 'F32')]));
  const { code, err } = await call(['quantize', input, at('gguf.safetensors'), '--group', '32', '--symmetric', '--bits', '8']);
  expect(code, err).toBe(0);
  const { layers, rest } = await findLayers(await openSafetensors(await byteSource(at('gguf.safetensors'))));
  expect(rest.map(({ name }) => name)).toEqual(['token_embd.weight', 'output.weight']);
  const { matrix: made } = quantize(floatsOf(weight), { n: 16, k: 64, bits: 8, groupSize: 32, symmetric: true });
  expect(dequantize(await readMatrix(layers[0]!))).toEqual(dequantize(made));
});

test('activations of some layers', async () => {
  const x = normals('x', 32 * 256);
  const means = normals('means', 128).map(Math.abs);
  const file = putModel(at('activations.safetensors'), [
    { name: 'model.layers.0.mlp.up_proj.x', dtype: 'F32', shape: [32, 256], bytes: new Uint8Array(x.buffer) },
    { name: 'model.layers.0.attn.q_proj.mean_square', dtype: 'F32', shape: [128], bytes: new Uint8Array(means.buffer) },
  ]);
  const input = putModel(at('with.safetensors'));
  const { code, err } = await call(['quantize', input, at('with-out.safetensors'), '--activations', file, '--method', 'mse']);
  expect(code, err).toBe(0);
  const written = await tensorsOf(at('with-out.safetensors'));
  const check = (name: string, activations: object | undefined): void => {
    const made = model().find((one) => one.name === `${name}.weight`)!;
    const [n, k] = made.shape as [number, number];
    const [codes] = compressedTensorsTensors(
      name,
      quantize(floatsOf(made), { n, k, bits: 4, groupSize: 128, method: 'mse', ...(activations && { activations }) }),
    );
    expect(written.get(codes!.name)!.bytes, name).toEqual(codes!.bytes);
  };
  check('model.layers.0.mlp.up_proj', { x });
  check('model.layers.0.attn.q_proj', { meanSquare: means });
  check('model.layers.1.mlp.up_proj', undefined);
  putModel(at('wrong.safetensors'), [matrix('model.layers.0.attn.q_proj.hessian', [4, 4], 'F32')]);
  const wrong = await call(['quantize', input, at('wrong-out.safetensors'), '--activations', at('wrong.safetensors')]);
  expect(wrong.code).toBe(3);
  expect(wrong.err).toMatch(/q_proj\.hessian: shape: expected \(128, 128\) for K = 128, got \(4, 4\)/);
});

const listed = (path: string): string[] => readdirSync(path).sort();

test('a run that was stopped goes on where it was, and ends with the same bytes', async () => {
  const input = putModel(at('resume.safetensors'));
  const argv = (out: string): string[] => ['quantize', input, at(out), '--shard-bytes', '9k'];
  expect((await call(argv('whole'))).code).toBe(0);
  const shards = listed(at('whole')).filter((name) => name.startsWith('model-'));
  expect(shards.length).toBeGreaterThan(3);

  const controller = new AbortController();
  const stopped = await call(argv('stopped'), {
    signal: controller.signal,
    err: () => existsSync(at('stopped', shards[1]!)) && controller.abort(),
  });
  expect(stopped.code).toBe(130);
  const left = listed(at('stopped'));
  expect(left).toContain(shards[1]);
  expect(left.length).toBeLessThan(shards.length); // no index, not all shards, no half one
  expect(left.filter((name) => name.endsWith('.part'))).toEqual([]);
  for (const name of left)
    if (name.startsWith('model-')) expect(readFileSync(at('stopped', name))).toEqual(readFileSync(at('whole', name)));
  const before = statSync(at('stopped', shards[0]!)).mtimeMs;

  // As a power cut leaves things: half a file under its temporary name, which the record has. And one of somebody else.
  const half = `${shards.at(-1)}.0123456789abcdef.part`;
  const record = at('stopped', 'antiquant-quantize.json');
  writeFileSync(record, JSON.stringify({ ...JSON.parse(readFileSync(record, 'utf8')), part: half }));
  writeFileSync(at('stopped', half), 'half');
  writeFileSync(at('stopped', `${shards.at(-1)}.part`), 'mine');
  const { code, err, out } = await call([...argv('stopped'), '--json']);
  expect(code, err).toBe(0);
  expect(err).toMatch(new RegExp(`^[2-9] of ${shards.length} files are complete from an earlier run`));
  expect(statSync(at('stopped', shards[0]!)).mtimeMs).toBe(before);
  expect(readFileSync(at('stopped', `${shards.at(-1)}.part`), 'utf8')).toBe('mine');
  rmSync(at('stopped', `${shards.at(-1)}.part`));
  expect(listed(at('stopped'))).toEqual(listed(at('whole')));
  for (const name of listed(at('whole')).filter((one) => one !== 'antiquant-quantize.json'))
    expect(readFileSync(at('stopped', name)), name).toEqual(readFileSync(at('whole', name)));
  const document = JSON.parse(out);
  expect(document.layers).toHaveLength(4); // those of the earlier run, too
  expect(document.shards[0].resumed).toBe(true);
  expect(document.shards.at(-1).resumed).toBe(false);

  // A shard that is no longer whole is made again.
  truncateSync(at('stopped', shards[2]!), 100);
  expect((await call(argv('stopped'))).err).toContain(`${shards.length - 1} of ${shards.length} files`);
  expect(readFileSync(at('stopped', shards[2]!))).toEqual(readFileSync(at('whole', shards[2]!)));

  const other = await call([...argv('stopped'), '--bits', '8']);
  expect(other.code).toBe(2);
  expect(other.err).toContain('a run with bits 4, now 8; --force begins anew');
  expect((await call([...argv('stopped'), '--bits', '8', '--force'])).code).toBe(0);
  expect((await call(['inspect', at('stopped'), '--json'])).json().layers[0].bits).toBe(8);
  // One file now: nothing of the many is left to be taken for the model.
  expect((await call(['quantize', input, at('stopped'), '--force'])).code).toBe(0);
  expect(listed(at('stopped'))).toEqual(['antiquant-quantize.json', 'config.json', 'model.safetensors']);

  putModel(input, model().slice(1));
  const changed = await call(argv('whole'));
  expect([changed.code, changed.err]).toEqual([2, expect.stringContaining('a run with another input')]);
});

test('never over the input, nor over what another program left', async () => {
  mkdirSync(at('safe'));
  const input = putModel(at('safe', 'model.safetensors'));
  const bytes = readFileSync(input);
  symlinkSync(at('safe'), at('link'));
  for (const out of [input, at('safe'), at('link'), at('safe', '..', 'safe', 'model.safetensors')]) {
    const { code, err } = await call(['quantize', input, out, '--force']);
    expect(code).toBe(2);
    expect(err).toContain('is a file of IN');
  }
  expect(readFileSync(input)).toEqual(bytes);
  mkdirSync(at('taken'));
  put(at('taken', 'config.json'), '{"mine":true}');
  const { code, err } = await call(['quantize', input, at('taken')]);
  expect([code, err]).toEqual([2, expect.stringContaining('does not say how it was made')]);
  expect(readFileSync(at('taken', 'config.json'), 'utf8')).toBe('{"mine":true}');
});

test('weights that are not finite: 3, with their place in the file; nothing is left', async () => {
  const weight = matrix('a.weight', [2 ** 13, 256], 'F32');
  new Float32Array(weight.bytes.buffer)[5000 * 256 + 7] = Number.NaN;
  const { code, err } = await call(['quantize', putModel(at('nan.safetensors'), [weight]), at('nan-out')]);
  expect(code).toBe(3);
  expect(err).toMatch(/nan\.safetensors: a\.weight: weights\[5000, 7\]: expected a finite number/);
  expect(readdirSync(at('nan-out'))).toEqual([]);
});

test('what is quantized already, or can be neither quantized nor copied: 4', async () => {
  expect((await call(['quantize', at('out'), at('twice')])).err).toMatch(
    /config\.json says that it is quantized already \(compressed-tensors\)/,
  );
  const input = put(at('q8k.gguf'), makeGguf([{ name: 'a.weight', dtype: 'Q8_K', shape: [4, 256], bytes: new Uint8Array(1168) }]));
  const { code, json } = await call(['quantize', input, at('q8k-out'), '--json']);
  expect(code).toBe(4);
  expect(json().error).toMatchObject({ name: 'UnsupportedError', exitCode: 4 });
  expect(json().error.message).toContain('a is quantized already (Q8_K)');
  const experts = { name: 'a_exps.weight', dtype: 'Q8_0', shape: [2, 4, 32], bytes: new Uint8Array(2 * 4 * 34) };
  const refused = await call(['quantize', put(at('exps.gguf'), makeGguf([experts])), at('exps-out')]);
  expect([refused.code, refused.err]).toEqual([4, expect.stringContaining('a_exps is quantized already (GGUF Q8_0)')]);
});

test('--group auto: for each layer the largest of 128, 64 and 32 that divides its K; the configuration names the layers of each', async () => {
  const sizes = { a: 256, b: 96, c: 64, d: 100, e: 384 };
  const input = putModel(
    at('auto.safetensors'),
    Object.entries(sizes).map(([name, k]) => matrix(`${name}.up_proj.weight`, [16, k])),
  );
  const { code, err, json } = await call(['quantize', input, at('auto'), '--group', 'auto', '--json']);
  expect(code, err).toBe(0);
  const { settings, layers, copied, quantizationConfig } = json();
  expect(settings.group).toBe('auto');
  expect(layers.map(({ name }: { name: string }) => name)).toEqual(['a.up_proj', 'b.up_proj', 'c.up_proj', 'e.up_proj']);
  expect(copied).toEqual([
    expect.objectContaining({ name: 'd.up_proj.weight', why: 'K = 100 is not a multiple of 32, the smallest of --group auto' }),
  ]);
  const groups = Object.values(quantizationConfig.config_groups as Record<string, { targets: string[]; weights: { group_size: number } }>);
  expect(groups.map(({ targets, weights }) => [weights.group_size, targets])).toEqual([
    [128, ['a.up_proj', 'e.up_proj']],
    [64, ['c.up_proj']],
    [32, ['b.up_proj']],
  ]);
  const config = JSON.parse(readFileSync(at('auto', 'config.json'), 'utf8'));
  const { layers: found } = await findLayers(await openModel(at('auto', 'model.safetensors')), { config });
  const groupSizes = Object.fromEntries(found.map(({ name, groupSize }) => [name[0], groupSize]));
  expect(groupSizes).toEqual({ a: 128, b: 32, c: 64, e: 128 });
  expect((await call(['verify', at('auto')])).code).toBe(0);

  // One size: all linear layers, as with a number.
  const one = await call([
    'quantize',
    putModel(at('one.safetensors'), [matrix('b.up_proj.weight', [16, 96])]),
    at('one'),
    '--group',
    'auto',
    '--json',
  ]);
  expect(one.json().quantizationConfig.config_groups).toMatchObject({ group_0: { targets: ['Linear'], weights: { group_size: 32 } } });
});
