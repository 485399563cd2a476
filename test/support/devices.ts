// Caps of kinds of devices. Imports no shader, so that browser tests can use it. Holds no test.
import type { Caps } from '../../src/problem/caps.js';

/** A GPU that can do everything. */
export const GPU: Caps = {
  f16: true,
  subgroups: true,
  subgroupMatrix: [],
  vendor: '',
  lanes: 32768,
  software: false,
  wideCodes: false,
  scaleUnits: true,
  dot4: true,
  minSubgroupSize: 32,
  maxSubgroupSize: 32,
  maxBufferSize: 2 ** 31,
  maxStorageBufferBindingSize: 2 ** 31 - 4,
  maxStorageBuffersPerShaderStage: 16,
  minStorageBufferOffsetAlignment: 256,
  maxComputeWorkgroupsPerDimension: 65535,
  maxComputeInvocationsPerWorkgroup: 1024,
  maxComputeWorkgroupStorageSize: 32768,
};
/** One with matrix units too, of every size that some device has. */
export const MATRIX_GPU: Caps = {
  ...GPU,
  subgroupMatrix: [
    [16, 16, 16],
    [8, 16, 16],
    [8, 8, 8],
  ].map(([M, N, K]) => ({ componentType: 'f16', resultComponentType: 'f32', M: M!, N: N!, K: K! })),
};
/** What every WebGPU device has. */
export const LEAST: Caps = {
  ...GPU,
  f16: false,
  subgroups: false,
  minSubgroupSize: 4,
  maxSubgroupSize: 128,
  maxBufferSize: 2 ** 28,
  maxStorageBufferBindingSize: 2 ** 27,
  maxStorageBuffersPerShaderStage: 8,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupStorageSize: 16384,
};
export const SWIFTSHADER: Caps = {
  ...LEAST,
  f16: true,
  subgroups: true,
  software: true,
  wideCodes: true,
  minSubgroupSize: 4,
  maxSubgroupSize: 4,
};
export const LAVAPIPE: Caps = {
  ...LEAST,
  f16: true,
  subgroups: true,
  software: true,
  wideCodes: true,
  minSubgroupSize: 8,
  maxSubgroupSize: 8,
};
