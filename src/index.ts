// antiquant: the weight-quantized matrix product on WebGPU.

export type { Accuracy } from './accuracy.js';
export { formatCast } from './ascend/fractal-nz.js';
export { convertWeightToInt4Pack } from './ascend/int4-pack.js';
export { transQuantParam } from './ascend/quant-param.js';
export type { Caps } from './caps.js';
export type { DType, FloatDType, Format } from './dtype.js';
export { ArgumentError, DeviceLostError, ShaderError, UnsupportedError } from './errors.js';
export type { Tuned } from './findings.js';
export type { FunctionalOptions } from './functional.js';
export { capsOf, requestDevice } from './gpu/device.js';
export { type SelfTestReport, selfTestReports } from './gpu/findings.js';
export { type Explanation, LinearWeightQuant, type LinearWeightQuantOptions } from './linear-weight-quant.js';
export { encodeMany, forwardMany, prepareMany } from './many.js';
export { weightQuantBatchMatmul } from './matmul.js';
export type { Force } from './plan.js';
export type { PrepareOptions } from './prepare.js';
export type { Digits, QuantizedNumbers } from './quantized.js';
export { encodeQuantizeRows, type QuantizedRows, quantizeRows, readQuantizedRows } from './quantized-rows.js';
export { type HostTensor, reference } from './reference/reference.js';
export { referenceMatrix } from './reference/reference-matrix.js';
export type { ReferenceResult } from './reference/sums.js';
export type { Step } from './step.js';
export { Tensor, type TensorData } from './tensor.js';
export { fileStore, type TuningStore } from './tune/store.js';
export { type Tuning, tuning } from './tuning.js';
