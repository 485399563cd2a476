// Every public function that needs no GPU, with valid arguments. test/unit/doors.test.ts checks that the list is complete.

import type { RawTensor } from '../../src/files/raw-tensor.js';
import type { ByteSource, TensorInfo } from '../../src/files/tensor-file.js';
import * as formats from '../../src/formats.js';
import * as library from '../../src/index.js';
import { fileOf, OTHERS, TENSORS } from '../support/every-format.js';
import { makeGguf, makeMlc, makeSafetensors, makeShards } from '../support/files.js';
import { onnx as onnxFile } from '../support/onnx-file.js';
import { readFixture } from '../support/onnx-fixture.js';
import { infoOf, raw } from '../support/tensors.js';
import { type Doors, door } from '../support/wrong-arguments.js';

const none = (): void => {};
/** As much of a GPUDevice as planning and reports look at. */
export const fakeDevice = (): GPUDevice =>
  ({
    ...Object.fromEntries(
      ['createBuffer', 'createComputePipeline', 'createCommandEncoder', 'pushErrorScope', 'destroy'].map((name) => [name, none]),
    ),
    queue: { submit: none, writeBuffer: none },
    features: new Set(),
    limits: { maxBufferSize: 2 ** 28 },
    lost: new Promise(none),
  }) as unknown as GPUDevice;
const memoryStore = () => ({ get: async () => undefined, set: async () => {} });

const x = () => ({ data: new Float32Array(2 * 32).fill(1), shape: [2, 32], dtype: 'float32' as const });
const matrix = (): formats.QuantizedMatrix => ({
  n: 2,
  k: 32,
  bits: 4,
  codes: new Uint32Array(8).fill(0x12345678),
  groupSize: 16,
  scale: new Float32Array(4).fill(0.5),
  scaleDtype: 'float32',
  zeroPoint: new Float32Array(4).fill(3),
  permutation: Uint32Array.from({ length: 32 }, (_, i) => 31 - i),
});
const plain = (): formats.QuantizedMatrix => ({ ...matrix(), permutation: undefined });
const layer = () => ({ matrix: plain(), mode: 'group' as const });
const form = () => ({
  n: 2,
  k: 64,
  bits: 4 as const,
  mode: 'group' as const,
  groupSize: 32,
  symmetric: false,
  scaleDtype: 'float16' as const,
});
const bias = () => ({ data: new Float32Array(2), shape: [2], dtype: 'float32' as const });

export const OPERATOR: Doors = {
  capsOf: door(library.capsOf)(() => [fakeDevice(), { f16: false, lanes: 64, vendor: 'amd', subgroupMatrix: [] }]),
  convertWeightToInt4Pack: door(library.convertWeightToInt4Pack)(() => [new Int8Array(16), [2, 8]]),
  fileStore: door(library.fileStore)(() => ['/nonexistent/tuning.json']),
  formatCast: door(library.formatCast)(() => [new Int8Array(64), { shape: [2, 32], dtype: 'int8', from: 'ND', to: 'FRACTAL_NZ' }]),
  formatReport: door(library.formatReport)(() => [fakeDevice()]),
  reference: door(library.reference)(() => [
    x(),
    { data: new Int8Array(32 * 2), shape: [32, 2], dtype: 'int8', strides: [2, 1], format: 'ND' },
    { data: new Float32Array(2).fill(1), shape: [2], dtype: 'float32' },
    {
      antiquantOffset: { data: new Float32Array(2), shape: [2], dtype: 'float32' },
      bias: bias(),
      quantScale: { data: new Float32Array(2).fill(1), shape: [2], dtype: 'float32' },
      quantOffset: { data: new Float32Array(2).fill(1), shape: [2], dtype: 'float32' },
      antiquantGroupSize: 0,
      innerPrecise: 0,
      weightRounding: 'dtype',
      outputDtype: 'float32',
      accuracy: { codeBias: 0, xStep: 0, xRun: 1, sumRun: 32, weightStep: 0 },
    },
  ]),
  referenceMatrix: door(library.referenceMatrix)(() => [
    x(),
    matrix(),
    {
      bias: bias(),
      quantScale: { data: new Float32Array(2).fill(1), shape: [2], dtype: 'float32' },
      quantOffset: { data: new Float32Array(2).fill(1), shape: [2], dtype: 'float32' },
      weightRounding: 'dtype',
      outputDtype: 'float32',
      accuracy: { codeBias: 0, xStep: 0, xRun: 1, sumRun: 32, weightStep: 0 },
    },
  ]),
  requestDevice: door(library.requestDevice)(() => [
    {
      gpu: {
        requestAdapter: async () => ({ features: new Set(), limits: {}, info: {}, requestDevice: async () => fakeDevice() }),
      } as unknown as GPU,
      powerPreference: 'low-power',
      requiredFeatures: [],
      requiredLimits: {},
      label: 'mine',
      logger: () => {},
    },
  ]),
  logTo: door(library.logTo)(() => [fakeDevice(), () => {}]),
  selfTestReports: door(library.selfTestReports)(() => [fakeDevice()]),
  transQuantParam: door(library.transQuantParam)(() => [new Float32Array(2), new Float32Array(2), { roundMode: 1 }]),
  tuning: door(library.tuning)(() => [fakeDevice()]),
  'tuning.import': door((exported: unknown) => library.tuning(fakeDevice()).import(exported))(() => [
    { key: library.tuning(fakeDevice()).key, choices: { a: { kernel: 'x', tile: {}, ratio: 1, candidates: 1, date: '' } } },
  ]),
  'tuning.clear': door((options: object) => library.tuning(fakeDevice()).clear(options))(() => [{ store: memoryStore() }]),
};

/** The tensors of a layer by their own names. */
const own = (kind: string): Record<string, RawTensor> =>
  Object.fromEntries(TENSORS[kind]!.map((tensor) => [tensor.name.slice(kind.length + 1).replace(/^_weight_/, ''), { ...tensor }]));
const infos = (kind: string): Record<string, TensorInfo> =>
  Object.fromEntries(Object.entries(own(kind)).map(([name, tensor]) => [name, infoOf(tensor)]));
const pick = <T>(from: Record<string, T>, ...names: string[]) => Object.fromEntries(names.map((name) => [name, from[name]!])) as never;
const nf4 = <T>(from: Record<string, T>) => ({
  weight: from.weight!,
  absmax: from['weight.absmax']!,
  quant_map: from['weight.quant_map']!,
  nested_absmax: from['weight.nested_absmax']!,
  nested_quant_map: from['weight.nested_quant_map']!,
});
const state = () => ({
  quant_type: 'nf4' as const,
  blocksize: 64,
  shape: [16, 64] as [number, number],
  nested_blocksize: 256,
  nested_offset: 0.5,
});
const meta = () => ({ shape: [16, 64] as [number, number], packing: '4bit_u8', group_size: 32, axis: 1 });
const mlcTensors = () => ({
  q_weight: { ...raw('q_weight', 'I32', [4, 4], Array(16).fill(1)), dtype: 'U32' },
  q_scale: raw('q_scale', 'F16', [4, 1], [1, 1, 1, 1]),
});
const source = (bytes: Uint8Array): ByteSource => ({
  name: 'test',
  size: bytes.length,
  read: async (begin, end) => bytes.slice(begin, end) as Uint8Array<ArrayBuffer>,
});
const gguf = () => raw('blk.0.x.weight', 'U8', [36], Array(36).fill(1));
const block = (): RawTensor => ({ ...gguf(), dtype: 'Q4_0', shape: [2, 32] });
const layerSource = () =>
  formats.gptqLayer(infos('gptq') as never, {
    name: 'gptq',
    bits: 4,
    groupSize: 32,
    descAct: false,
    symmetric: false,
    checkpointFormat: 'gptq',
  });
const tensorInfo = () => infoOf(raw('a', 'F32', [4, 2], [1, 2, 3, 4, 5, 6, 7, 8]));
const made = (name: string) => ({ name, dtype: 'F32', shape: [2], bytes: new Uint8Array(8) });
const sink = () => ({ write: none });
const index = () => {
  const files = makeShards([[made('a')], [made('b')]]);
  const resolve = (name: string) => source(files.get(name) ?? new Uint8Array(0));
  return { source: source([...files.values()][0]!), resolve };
};
const cache = () => {
  const files = makeMlc([[{ ...made('a') }]]);
  return { source: source([...files.values()][0]!), resolve: (name: string) => source(files.get(name) ?? new Uint8Array(0)) };
};
const signal = () => new AbortController().signal;
const onnx = (): { readonly tensors: formats.MatMulNBitsTensors; readonly attributes: formats.MatMulNBitsAttributes } =>
  readFixture('nbits-4-g_idx.json') as never;
const longArray = (): formats.GgufArray => ({ of: 'UINT8', length: 4, source: source(new Uint8Array(4)), begin: 0, end: 4 });
const named = (name: string, more: object = {}) => ({ name, bias: infoOf(raw('b', 'F32', [16], Array(16).fill(0))), ...more });

const bitNet = () => ({ weight: raw('w', 'U8', [4, 8], Array(32).fill(1)), weight_scale: raw('s', 'F32', [1], [2]) });

const importers: Doors = {
  importAwq: door(formats.importAwq)(() => [pick(own('awq'), 'qweight', 'qzeros', 'scales'), { groupSize: 32 }]),
  importBitNet: door(formats.importBitNet)(() => [bitNet() as never, { linearClass: 'bitlinear' }]),
  importBitsAndBytesInt8: door(formats.importBitsAndBytesInt8)(() => [own('bnb8') as never]),
  importBitsAndBytes4: door(formats.importBitsAndBytes4)(() => [nf4(own('nf4')), state()]),
  importMatMulBnb4: door(formats.importMatMulBnb4)(() => [
    { B: raw('B', 'U8', [512], Array(512).fill(1)), absmax: raw('absmax', 'F32', [16], Array(16).fill(1)) },
    { N: 16, K: 64, quant_type: 1, block_size: 64 },
  ]),
  importCompressedTensors: door(formats.importCompressedTensors)(() => [own('packed') as never, { bits: 4, groupSize: 32, n: 16, k: 64 }]),
  importDequantizeLinear: door(formats.importDequantizeLinear)(() => [
    {
      x: raw('x', 'I8', [2, 4], new Int8Array(8).fill(1)),
      x_scale: raw('s', 'F32', [4], [1, 1, 1, 1]),
      x_zero_point: raw('z', 'I8', [4], [0, 1, 2, 3]),
    },
    { layout: 'KN', axis: 1, blockSize: 0 },
  ]),
  importFp4: door(formats.importFp4)(() => [own('nvfp4') as never]),
  importFp8: door(formats.importFp8)(() => [pick(own('fp8'), 'weight', 'weight_scale') as never, { blockSize: [128, 128], groupSize: 32 }]),
  importGguf: door(formats.importGguf)(() => [block()]),
  importGptq: door(formats.importGptq)(() => [
    pick(own('gptq'), 'qweight', 'qzeros', 'scales', 'g_idx'),
    { bits: 4, groupSize: 32, checkpointFormat: 'gptq' },
  ]),
  importHqq: door(formats.importHqq)(() => [pick(own('hqq'), 'W_q', 'scale', 'zero'), meta()]),
  importMlc: door(formats.importMlc)(() => [mlcTensors(), { format: 'q4f16_1', k: 32 }]),
  importMlx: door(formats.importMlx)(() => [own('mlx') as never, { bits: 3, groupSize: 32, mode: 'affine' }]),
  importMxfp4: door(formats.importMxfp4)(() => [own('mx') as never]),
  importMatMulNBits: door(formats.importMatMulNBits)(() => [{ ...onnx().tensors }, { ...onnx().attributes }]),
  importTorchNpu: door(formats.importTorchNpu)(() => [
    own('npu') as never,
    { groupSize: 32, transposed: false, format: 'ND', n: 16, k: 64 },
  ]),
  importTorchaoInt4: door(formats.importTorchaoInt4)(() => [own('ao4') as never, { nibbleOrder: 'even-low', groupSize: 32 }]),
  importModelOptInt4: door(formats.importModelOptInt4)(() => [own('opt') as never]),
  importTorchaoInt8: door(formats.importTorchaoInt8)(() => [own('intx') as never, { bits: 3 }]),
  importTorchaoTinygemm: door(formats.importTorchaoTinygemm)(() => [own('aotile') as never, { n: 16, k: 64 }]),
};
const layers: Doors = {
  awqLayer: door(formats.awqLayer)(() => [pick(infos('awq'), 'qweight', 'qzeros', 'scales'), { name: 'a', groupSize: 32 }]),
  bitNetLayer: door(formats.bitNetLayer)(() => [
    Object.fromEntries(Object.entries(bitNet()).map(([name, one]) => [name, infoOf(one)])) as never,
    { ...named('a'), linearClass: 'autobitlinear' },
  ]),
  bitsAndBytesInt8Layer: door(formats.bitsAndBytesInt8Layer)(() => [infos('bnb8') as never, named('a')]),
  bitsAndBytes4Layer: door(formats.bitsAndBytes4Layer)(() => [nf4(infos('nf4')), { ...named('a'), state: state() }]),
  compressedTensorsLayer: door(formats.compressedTensorsLayer)(() => [
    infos('packed') as never,
    { ...named('a'), bits: 4, groupSize: 32, n: 16, k: 64 },
  ]),
  fp4Layer: door(formats.fp4Layer)(() => [infos('nvfp4') as never, named('a')]),
  fp8Layer: door(formats.fp8Layer)(() => [
    pick(infos('fp8'), 'weight', 'weight_scale') as never,
    { ...named('a'), blockSize: [128, 128], groupSize: 32 },
  ]),
  ggufLayer: door(formats.ggufLayer)(() => [infoOf(block()), infoOf(raw('b', 'F32', [2], [0, 0]))]),
  gptqLayer: door(formats.gptqLayer)(() => [
    infos('gptq') as never,
    { name: 'a', bits: 4, groupSize: 32, descAct: false, symmetric: false, checkpointFormat: 'gptq' },
  ]),
  hqqLayer: door(formats.hqqLayer)(() => [pick(infos('hqq'), 'W_q', 'scale', 'zero'), { ...named('a'), meta: meta() }]),
  mlcLayer: door(formats.mlcLayer)(() => [
    { q_weight: infoOf(mlcTensors().q_weight), q_scale: infoOf(mlcTensors().q_scale) },
    { name: 'a', format: 'q4f16_1', k: 32 },
  ]),
  mlxLayer: door(formats.mlxLayer)(() => [infos('mlx') as never, { ...named('a'), bits: 3, groupSize: 32, mode: 'affine' }]),
  mxfp4Layer: door(formats.mxfp4Layer)(() => [infos('mx') as never, named('a')]),
  partsOf: door(formats.partsOf)(() => [infos('mx').blocks!]),
  torchNpuLayer: door(formats.torchNpuLayer)(() => [
    infos('npu') as never,
    { ...named('a'), groupSize: 32, transposed: false, format: 'ND', n: 16, k: 64 },
  ]),
  torchaoInt4Layer: door(formats.torchaoInt4Layer)(() => [
    infos('ao4') as never,
    { ...named('a'), nibbleOrder: 'even-low', groupSize: 32 },
  ]),
  modelOptInt4Layer: door(formats.modelOptInt4Layer)(() => [infos('opt') as never, named('a')]),
  torchaoInt8Layer: door(formats.torchaoInt8Layer)(() => [infos('intx') as never, { ...named('a'), bits: 3 }]),
  torchaoTinygemmLayer: door(formats.torchaoTinygemmLayer)(() => [infos('aotile') as never, { ...named('a'), n: 16, k: 64 }]),
};

export const FORMATS: Doors = {
  ...importers,
  ...layers,
  among: door(async (files: never, options: object) => formats.among(files, options)('a'))(() => [
    new Map([['a', new Blob(['x'])]]) as never,
    { wholeUpTo: 10, signal: signal() },
  ]),
  asFloats: door(formats.asFloats)(() => [raw('a', 'F32', [2], [1, 2])]),
  asWords: door(formats.asWords)(() => [raw('a', 'I32', [2], [1, 2])]),
  byteSource: door(async (from: formats.BytesFrom, options: object) => (await formats.byteSource(from, options)).read(0, 2))(() => [
    new Uint8Array(4),
    { name: 'a', wholeUpTo: 10, signal: signal(), fetch: globalThis.fetch },
  ]),
  checkMatrix: door(formats.checkMatrix)(() => [matrix()]),
  compressedTensorsConfig: door(formats.compressedTensorsConfig)(() => [form(), { ignore: ['lm_head'] }]),
  compressedTensorsOutlines: door(formats.compressedTensorsOutlines)(() => ['a', form()]),
  compressedTensorsTensors: door(formats.compressedTensorsTensors)(() => ['a', layer()]),
  dequantize: door(formats.dequantize)(() => [matrix()]),
  findLayers: door(formats.findLayers)(() => [
    fileOf([...TENSORS.gptq!, ...TENSORS.ao4!, ...OTHERS]),
    { config: { quant_method: 'gptq' }, torchNpu: { groupSize: 32 }, torchao: { nibbleOrder: 'even-low' }, signal: signal() },
  ]),
  hqqMeta: door(formats.hqqMeta)(() => [pick(own('hqq'), 'shape', 'packing', 'group_size', 'axis')]),
  isGgufArray: door(formats.isGgufArray)(() => [longArray()]),
  isGgufType: door(formats.isGgufType)(() => ['Q4_0']),
  layerBytes: door(formats.layerBytes)(() => [layerSource()]),
  madeTogether: door(async (outlines: never, make: never) => {
    for (const { bytes } of formats.madeTogether(outlines, make)) await (bytes as () => unknown)();
  })(() => [[made('a')] as never, (() => [made('a')]) as never]),
  openGguf: door(formats.openGguf)(() => [
    source(makeGguf([{ name: 'a', dtype: 'F32', shape: [2], bytes: new Uint8Array(8) }], {})),
    { signal: signal(), resolve: () => source(new Uint8Array(0)) },
  ]),
  openMlc: door(formats.openMlc)(() => [cache().source, { resolve: cache().resolve, signal: signal() }]),
  openModel: door(formats.openModel)(() => [
    makeSafetensors([made('a')]),
    { name: 'a', wholeUpTo: 10, signal: signal(), files: new Map(), resolve: () => source(new Uint8Array(0)) },
  ]),
  openOnnx: door(formats.openOnnx)(() => [
    source(onnxFile([], [{ name: 'w', type: 2, dims: [2, 4], raw: new Uint8Array(8) }])),
    { signal: signal(), resolve: () => source(new Uint8Array(0)) },
  ]),
  openSafetensors: door(formats.openSafetensors)(() => [source(makeSafetensors([made('a')])), { signal: signal() }]),
  openSafetensorsIndex: door(formats.openSafetensorsIndex)(() => [index().source, { resolve: index().resolve, signal: signal() }]),
  packCodes: door(formats.packCodes)(() => [[1, 2, 3, 4], 2, 2, 4]),
  parseConfig: door(formats.parseConfig)(() => ['{"bits": 4}', { name: 'a' }]),
  parseQuantState: door(formats.parseQuantState)(() => [{ ...TENSORS.nf4!.at(-1)! }]),
  quantizationOf: door(formats.quantizationOf)(() => [{ quant_method: 'gptq', bits: 4, group_size: 32 }]),
  quantize: door(formats.quantize)(() => [
    new Float32Array(4 * 32).fill(1),
    {
      n: 4,
      k: 32,
      bits: 4,
      mode: 'group',
      groupSize: 16,
      symmetric: false,
      method: 'mse',
      scaleDtype: 'float16',
      dtype: 'float32',
      activations: { meanAbs: new Float32Array(32).fill(1), damp: 0.01 },
    },
  ]),
  quantizeInWorker: door(formats.quantizeInWorker)(() => [
    new Float32Array(4 * 32).fill(1),
    { n: 4, k: 32, bits: 4 },
    { onProgress: none, signal: signal(), transfer: false, worker: false },
  ]),
  readBias: door(formats.readBias)(() => [{ ...layerSource() }, signal()]),
  readGgufArray: door(formats.readGgufArray)(() => [longArray(), { signal: signal() }]),
  readMatrix: door(formats.readMatrix)(() => [{ ...layerSource() }, { signal: signal(), onProgress: none }]),
  readPieces: door(formats.readPieces)(() => [{ ...layerSource() }, { chunkBytes: 100, signal: signal(), onProgress: none }]),
  readTensor: door(formats.readTensor)(() => [tensorInfo(), { begin: 8, end: 16, signal: signal() }]),
  safetensorsHeader: door(formats.safetensorsHeader)(() => [[made('a'), made('b')], { format: 'pt' }]),
  siblings: door(async (from: formats.BytesFrom, options: object) => formats.siblings(from, options)?.('b'))(() => [
    new Uint8Array(4),
    { wholeUpTo: 10, signal: signal() },
  ]),
  simplify: door(formats.simplify)(() => [matrix()]),
  tensorParts: door(formats.tensorParts)(() => [tensorInfo(), { bytes: 16, signal: signal() }]),
  torchNpuOutlines: door(formats.torchNpuOutlines)(() => ['a', form(), { bias: true }]),
  torchNpuTensors: door(formats.torchNpuTensors)(() => [
    'a',
    { matrix: { ...plain(), groupSize: 32, scale: new Float32Array(2).fill(1), zeroPoint: new Float32Array(2).fill(3) }, mode: 'channel' },
    { bias: raw('b', 'F32', [2], [1, 2]) },
  ]),
  writeSafetensors: door(formats.writeSafetensors)(() => [
    sink(),
    [made('a'), { ...made('b'), bytes: () => [new Uint8Array(4), new Uint8Array(4)] }],
    { metadata: { format: 'pt' }, signal: signal(), onProgress: none },
  ]),
};
