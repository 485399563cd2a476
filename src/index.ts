// antiquant: the weight-quantized matrix product on WebGPU.

export { formatCast } from './ascend/fractal-nz.js';
export { convertWeightToInt4Pack } from './ascend/int4-pack.js';
export { transQuantParam } from './ascend/quant-param.js';
export type { DType, FloatDType, Format } from './dtype.js';
export { ArgumentError, DeviceLostError, ShaderError, UnsupportedError } from './errors.js';
export { capsOf, requestDevice } from './gpu/device.js';
export { type SelfTestReport, selfTestReports } from './gpu/device-findings.js';
export { formatReport } from './gpu/report.js';
export { Tensor, type TensorData } from './gpu/tensor.js';
export { type Tuning, tuning } from './gpu/tuning.js';
export { fileStore, type TuningStore } from './gpu/tuning-store.js';
export { weightQuantBatchMatmul } from './layer/functional.js';
export { encodeMany, forwardMany, prepareMany } from './layer/layer-group.js';
export { type Explanation, LinearWeightQuant, type LinearWeightQuantOptions } from './layer/linear-weight-quant.js';
export type { PrepareOptions } from './layer/prepare.js';
export { encodeQuantizeRows, type QuantizedRows, quantizeRows, readQuantizedRows } from './layer/quantize-x.js';
export type { Tuned } from './plan/findings.js';
export type { Force } from './plan/plan.js';
export type { Step } from './plan/step.js';
export type { Accuracy } from './problem/accuracy.js';
export type { Caps } from './problem/caps.js';
export type { FunctionalOptions } from './problem/torch-arguments.js';
export type { Digits, QuantizedNumbers } from './problem/x-codes.js';
export { type HostTensor, reference } from './reference/reference.js';
export { referenceMatrix } from './reference/reference-matrix.js';
export type { ReferenceResult } from './reference/sums.js';
