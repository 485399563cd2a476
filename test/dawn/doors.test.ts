// Calls every public function that needs a GPU with wrong arguments; test/unit/doors.test.ts calls the others.
import { afterAll, expect, test } from 'vitest';
import { gptqLayer, loadExperts, loadLayer, loadLayers, loadModel, partsOf, quantizeOnGpu } from '../../src/formats.js';
import {
  best,
  ExpertLayers,
  encodeBest,
  encodeExperts,
  encodeGatherRows,
  encodeMany,
  encodeQuantizeRows,
  encodeSortPairs,
  explainMany,
  forwardExperts,
  forwardMany,
  gatherRows,
  joinExperts,
  joinGateUp,
  LinearWeightQuant,
  leaveExpertTwin,
  leaveTwin,
  prepareAll,
  prepareMany,
  quantizeRows,
  readOutOfRange,
  readPairCounts,
  readQuantizedRows,
  recordSteps,
  replay,
  requestDevice,
  sortPairs,
  Tensor,
  weightQuantBatchMatmul,
} from '../../src/index.js';
import { packCodes } from '../../src/problem/matrix.js';
import { whole } from '../cases/slice.js';
import { gpu } from '../support/dawn.js';
import { TENSORS } from '../support/every-format.js';
import { makeSafetensors } from '../support/files.js';
import { infoOf } from '../support/tensors.js';
import { type Doors, door, faultsOf, opens } from '../support/wrong-arguments.js';

const device = await requestDevice({ gpu });
const errors: string[] = [];
device.addEventListener('uncapturederror', ({ error }) => errors.push(error.message));
afterAll(() => device.destroy());

const [K, N] = [64, 8];
const tensor = (data: Float32Array | Int8Array, shape: readonly number[], dtype: 'float32' | 'int8') =>
  Tensor.from(device, data, { shape, dtype });
const x = tensor(new Float32Array(K).fill(1), [1, K], 'float32');
const y = tensor(new Float32Array(N), [1, N], 'float32');
const weight = tensor(new Int8Array(N * K).fill(1), [N, K], 'int8');
const antiquantScale = tensor(new Float32Array([1]), [1], 'float32');
const bias = tensor(new Float32Array(N), [N], 'float32');
const buffer = device.createBuffer({ size: 256, usage: 0x80 });
const options = () => ({ inFeatures: K, outFeatures: N, bias: false, dtype: 'float32' as const, innerPrecise: 0 });
const fresh = () => new LinearWeightQuant(device, options()).load({ weight, antiquantScale });
const layers = [fresh(), fresh()];
const empty = new LinearWeightQuant(device, { ...options(), bias: true });
const loaded = layers[0]!;
const rows = quantizeRows(x, loaded);
const loading = () => ({
  dtype: 'float16' as const,
  innerPrecise: 0,
  weightRounding: 'dtype' as const,
  signal: new AbortController().signal,
  onProgress: () => {},
  plan: { selfTest: false },
  quantize: 'int8' as const,
});
const modelBytes = () => makeSafetensors([{ name: 'a.weight', dtype: 'F32', shape: [N, K], bytes: new Uint8Array(4 * N * K) }]);
const expertOptions = () => ({ experts: 2, inFeatures: K, outFeatures: N, bias: false, dtype: 'float32' as const });
const experts = new ExpertLayers(device, expertOptions()).load({
  weight: tensor(new Int8Array(2 * N * K).fill(1), [2, N, K], 'int8'),
  antiquantScale: tensor(new Float32Array([1, 1]), [2, 1], 'float32'),
});
const matrix = () => ({
  n: N,
  k: K,
  bits: 4 as const,
  codes: packCodes(new Uint8Array(N * K), N, K, 4),
  groupSize: 32,
  scale: new Float32Array(2 * N).fill(1),
  scaleDtype: 'float32' as const,
  zeroPoint: new Float32Array(2 * N).fill(3),
});
const freshExperts = () => new ExpertLayers(device, expertOptions()).loadMatrices([matrix(), matrix()]);
const ids = Tensor.from(device, Int32Array.of(1, 0), { shape: [1, 2], dtype: 'int32' });
const pairs = sortPairs(ids, 2);
const ofPairs = tensor(new Float32Array(2 * N), [1, 2, N], 'float32');
const own = device.createComputePipeline({
  layout: 'auto',
  compute: { module: device.createShaderModule({ code: '@compute @workgroup_size(1) fn main() {}' }) },
});
const into = {
  ids: Tensor.from(device, Int32Array.of(0), { shape: [1], dtype: 'int32' }),
  values: tensor(new Float32Array(1), [1], 'float32'),
};
const factors = tensor(new Float32Array([2]), [1], 'float32');
const ofInputs = tensor(new Float32Array(K).fill(1), [K], 'float32');
const twinned = fresh();
leaveTwin(twinned, tensor(new Float32Array(N).fill(2), [N], 'float32'));
const both = device.createBuffer({ size: 8 * N, usage: 0x80 });
const [low, high] = [0, 4 * N].map((byteOffset) => Tensor.wrap(device, both, { shape: [1, N], dtype: 'float32', byteOffset })) as [
  Tensor,
  Tensor,
];
const ofTwo = tensor(new Float32Array(2), [1, 2], 'float32');
const twinnedExperts = freshExperts();
leaveExpertTwin(twinnedExperts, tensor(new Float32Array(N).fill(2), [N], 'float32'));
const ofRows = tensor(new Float32Array(2 * K), [1, 2, K], 'float32');
const steps = () => [
  { layer: loaded, x: rows, y },
  { layer: loaded, x, y, add: y, rowScale: factors, inputScale: ofInputs },
  { layers: [...layers], x, ys: [y, tensor(new Float32Array(N), [1, N], 'float32')] },
  { experts, x, y: ofPairs, ids },
  { experts: twinnedExperts, x, y: low, ids, weights: ofTwo, add: low, twin: high },
  { sort: pairs },
  { experts, x, y: ofPairs, sorted: pairs },
  { quantize: rows },
  { gather: loaded, ids, y: ofRows },
  { best: loaded, x, ...into, columns: 3, rowScale: factors },
  { copy: x, y: tensor(new Float32Array(K), [1, K], 'float32') },
  { pipeline: own, bindGroups: () => [], workgroups: [1, 1] },
];
const recorded = recordSteps(device, steps().slice(0, 2), { rows: [1] });
const store = { get: async () => undefined, set: async () => {} };
const source = () =>
  gptqLayer(Object.fromEntries(TENSORS.gptq!.map((one) => [one.name.slice(5), infoOf(one)])) as never, {
    name: 'gptq',
    bits: 4,
    groupSize: 32,
    checkpointFormat: 'gptq',
  });

const floats = (name: string, shape: readonly number[]) =>
  infoOf({ name, dtype: 'F32', shape, bytes: new Uint8Array(4 * shape.reduce((a, b) => a * b, 1)) });

/** A pass for each call that records. What is recorded there is never submitted. */
const pass = () => device.createCommandEncoder().beginComputePass();
const DOORS: Doors = {
  'Tensor.from': door((...args: Parameters<typeof Tensor.from>) => Tensor.from(...args))(() => [
    device,
    new Float32Array(4),
    { shape: [2, 2], dtype: 'float32', format: 'ND' },
  ]),
  'Tensor.wrap': door((...args: Parameters<typeof Tensor.wrap>) => Tensor.wrap(...args))(() => [
    device,
    buffer,
    { shape: [2, 2], dtype: 'float32', strides: [2, 1], byteOffset: 16, format: 'ND' },
  ]),
  LinearWeightQuant: door((...args: ConstructorParameters<typeof LinearWeightQuant>) => new LinearWeightQuant(...args))(() => [
    device,
    {
      ...options(),
      antiquantOffset: false,
      quantScale: false,
      quantOffset: false,
      antiquantGroupSize: 32,
      plan: { force: { kernel: 'matmul-plain', tile: {} }, caps: { f16: false }, selfTest: false },
    },
  ]),
  load: door((tensors: object) => new LinearWeightQuant(device, { ...options(), bias: true }).load(tensors as never))(() => [
    { weight, antiquantScale, bias },
  ]),
  loadStateDict: door((tensors: object) => new LinearWeightQuant(device, { ...options(), bias: true }).loadStateDict(tensors as never))(
    () => [{ weight, antiquant_scale: antiquantScale, bias }],
  ),
  loadMatrix: door((...args: Parameters<LinearWeightQuant['loadMatrix']>) =>
    new LinearWeightQuant(device, { ...options(), bias: true }).loadMatrix(...args),
  )(() => [matrix(), { bias }]),
  forward: door((...args: Parameters<LinearWeightQuant['forward']>) => loaded.forward(...args))(() => [
    x,
    { rowScale: factors, inputScale: ofInputs, ownBuffer: true },
  ]),
  'forward, of a layer that is not loaded': door((input: Tensor) => empty.forward(input))(() => [x]),
  encode: door((...args: Parameters<LinearWeightQuant['encode']>) => loaded.encode(...args))(() => [
    pass(),
    x,
    y,
    { add: y, rowScale: { rms: x, epsilon: 1 }, inputScale: ofInputs },
  ]),
  'encode, of a twin': door((...args: Parameters<LinearWeightQuant['encode']>) => twinned.encode(...args))(() => [
    pass(),
    x,
    low,
    { twin: high },
  ]),
  prepare: door((...args: Parameters<LinearWeightQuant['prepare']>) => loaded.prepare(...args))(() => [
    [1],
    { tune: false, budgetMs: 1, store },
  ]),
  explain: door((count: number) => loaded.explain(count))(() => [1]),
  'explain, with a kernel asked for': door((force: object) => {
    const layer = new LinearWeightQuant(device, { ...options(), plan: { force: force as never } }).load({ weight, antiquantScale });
    try {
      layer.explain(1);
    } finally {
      layer.destroy();
    }
  })(() => [{ kernel: 'matmul-plain', tile: {} }]),
  weightQuantBatchMatmul: door(weightQuantBatchMatmul)(() => [
    x,
    weight.transpose(),
    antiquantScale,
    {
      bias,
      antiquantOffset: antiquantScale,
      antiquantGroupSize: 0,
      innerPrecise: 0,
      weightRounding: 'dtype' as const,
      outputDtype: 'float32' as const,
    },
  ]),
  forwardMany: door(forwardMany)(() => [[...layers], x, { ownBuffer: true }]),
  encodeMany: door(encodeMany)(() => [
    pass(),
    [...layers],
    x,
    [y, tensor(new Float32Array(N), [1, N], 'float32')],
    { rowScale: factors, inputScale: ofInputs },
  ]),
  prepareMany: door(prepareMany)(() => [[...layers], [1], { tune: false, budgetMs: 1, store }]),
  prepareAll: door(prepareAll)(() => [[[...layers], loaded], [1], { tune: false, budgetMs: 1, store, onProgress: () => {} }]),
  explainMany: door(explainMany)(() => [[...layers], 1]),
  quantizeRows: door(quantizeRows)(() => [x, { held: 8, digits: 1 }]),
  encodeQuantizeRows: door(encodeQuantizeRows)(() => [pass(), rows]),
  readQuantizedRows: door(readQuantizedRows)(() => [rows]),
  quantizeOnGpu: door(quantizeOnGpu)(() => [
    device,
    tensor(new Float32Array(N * K), [N, K], 'float32'),
    { bits: 4, mode: 'group', groupSize: 32, symmetric: false, scaleDtype: 'float16' },
  ]),
  recordSteps: door((...args: Parameters<typeof recordSteps>) => recordSteps(...args).destroy())(() => [device, steps(), { rows: [1] }]),
  replay: door(replay)(() => [pass(), recorded, 1]),
  ExpertLayers: door((...args: ConstructorParameters<typeof ExpertLayers>) => new ExpertLayers(...args))(() => [
    device,
    {
      ...expertOptions(),
      antiquantOffset: false,
      antiquantGroupSize: 32,
      outputDtype: 'float32',
      plan: { force: { kernel: 'matmul-plain', tile: {} }, caps: { f16: false }, selfTest: false },
    },
  ]),
  'load, of experts': door((tensors: object) => new ExpertLayers(device, { ...expertOptions(), bias: true }).load(tensors as never))(() => [
    {
      weight: tensor(new Int8Array(2 * N * K).fill(1), [2, N, K], 'int8'),
      antiquantScale: tensor(new Float32Array([1, 1]), [2, 1], 'float32'),
      bias: tensor(new Float32Array(2 * N), [2, N], 'float32'),
    },
  ]),
  loadMatrices: door((...args: Parameters<ExpertLayers['loadMatrices']>) =>
    new ExpertLayers(device, { ...expertOptions(), bias: true }).loadMatrices(...args),
  )(() => [[matrix(), matrix()], { bias: tensor(new Float32Array(2 * N), [2, N], 'float32') }]),
  'prepare, of experts': door((...args: Parameters<ExpertLayers['prepare']>) => experts.prepare(...args))(() => [[1], 2, { summed: true }]),
  'explain, of experts': door((...args: Parameters<ExpertLayers['explain']>) => experts.explain(...args))(() => [1, 2, { summed: true }]),
  forwardExperts: door(forwardExperts)(() => [experts, x, { ids }]),
  'forwardExperts, of sorted pairs': door(forwardExperts)(() => [experts, x, { sorted: pairs }]),
  encodeExperts: door(encodeExperts)(() => [pass(), experts, x, ofPairs, { ids }]),
  'encodeExperts, of sums': door(encodeExperts)(() => [
    pass(),
    twinnedExperts,
    x,
    low,
    { sorted: pairs, weights: ofTwo },
    { add: low, twin: high },
  ]),
  joinExperts: door(joinExperts)(() => [[freshExperts(), freshExperts()], { glu: 'silu' as const }]),
  leaveExpertTwin: door(leaveExpertTwin)(() => [freshExperts(), tensor(new Float32Array(N), [N], 'float32')]),
  sortPairs: door(sortPairs)(() => [ids, 2]),
  encodeSortPairs: door(encodeSortPairs)(() => [pass(), pairs]),
  readPairCounts: door(readPairCounts)(() => [pairs]),
  gatherRows: door(gatherRows)(() => [loaded, ids, { y: ofRows, dtype: 'float32' as const }]),
  encodeGatherRows: door(encodeGatherRows)(() => [pass(), loaded, ids, ofRows]),
  joinGateUp: door(joinGateUp)(() => [[fresh(), fresh()], { glu: 'silu' as const }]),
  leaveTwin: door(leaveTwin)(() => [fresh(), tensor(new Float32Array(N), [N], 'float32')]),
  best: door(best)(() => [loaded, x, { columns: 3, rowScale: factors }]),
  encodeBest: door(encodeBest)(() => [pass(), loaded, x, { ...into }, { columns: 3, rowScale: { rms: x, epsilon: 1 } }]),
  readOutOfRange: door(readOutOfRange)(() => [loaded]),
  loadExperts: door(loadExperts)(() => [
    device,
    [source(), source()],
    { dtype: 'float16', chunkBytes: 64, signal: new AbortController().signal, onProgress: () => {}, plan: { selfTest: false } },
  ]),
  loadLayer: door(loadLayer)(() => [
    device,
    { ...source() },
    {
      dtype: 'float16',
      innerPrecise: 0,
      weightRounding: 'dtype',
      chunkBytes: 64,
      signal: new AbortController().signal,
      onProgress: () => {},
      plan: { selfTest: false },
    },
  ]),
  loadLayers: door(loadLayers)(() => [device, [[{ ...source() }, { ...source() }], floats('w', [N, K])], loading()]),
  loadModel: door(loadModel)(() => [device, modelBytes(), { ...loading(), config: {}, only: () => true, cache: false, logger: () => {} }]),
  'loadLayer, of floats': door(loadLayer)(() => [
    device,
    floats('w', [N, K]),
    {
      chunkBytes: 64,
      signal: new AbortController().signal,
      onProgress: () => {},
      quantize: { bits: 4, mode: 'group', groupSize: 32, symmetric: false, scaleDtype: 'float16' },
      bias: floats('b', [N]),
    },
  ]),
  'loadExperts, of floats': door(loadExperts)(() => [device, partsOf(floats('w', [2, N, K])), { chunkBytes: 64, quantize: 'int8' }]),
};
/** What a call made is freed, but for what all calls use. */
const kept = new Set<unknown>([
  x,
  y,
  weight,
  antiquantScale,
  bias,
  loaded,
  ...layers,
  experts,
  ids,
  pairs.sorted,
  ofPairs,
  ofRows,
  factors,
  ...Object.values(into),
]);
function clean(result: unknown): void {
  const { codes, sorted, ids, values } = (result ?? {}) as Readonly<Record<string, unknown>>;
  for (const one of Array.isArray(result) ? result.flat() : [result, codes, sorted, ids, values])
    if ((one instanceof Tensor || one instanceof LinearWeightQuant || one instanceof ExpertLayers) && !kept.has(one)) one.destroy();
}

test.each(Object.entries(DOORS))('%s takes what it should', async (name, one) => {
  if (name.includes('not loaded')) await expect(opens(one)).rejects.toThrow('layer: expected loaded weights: call load() first, got none');
  else await opens(one, clean);
});

test('wrong arguments', { timeout: 600_000 }, async () => {
  const faults = await faultsOf(DOORS, whole ? 10_000 : 600, clean);
  expect([...new Set(faults)]).toEqual([]);
  await device.queue.onSubmittedWorkDone();
  expect(errors).toEqual([]);
  // The device and the layers are as good as before.
  expect(await loaded.forward(x).read()).toEqual(new Float32Array(N).fill(K));
});
