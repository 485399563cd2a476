// Caps of common devices, for plans without having the device. Subgroup sizes and abilities are those of such adapters; limits come from
// LEAST or LARGE below. Plain data; the page reads it too.
import type { Caps } from '../../../../src/problem/caps.js';

/** Caps of every WebGPU device. */
const LEAST: Caps = {
  f16: false,
  subgroups: false,
  subgroupMatrix: [],
  vendor: '',
  lanes: 32768,
  software: false,
  wideCodes: false,
  scaleUnits: true,
  dot4: true,
  minSubgroupSize: 4,
  maxSubgroupSize: 128,
  maxBufferSize: 2 ** 28,
  maxStorageBufferBindingSize: 2 ** 27,
  maxStorageBuffersPerShaderStage: 8,
  minStorageBufferOffsetAlignment: 256,
  maxComputeWorkgroupsPerDimension: 65535,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupStorageSize: 16384,
};
/** Features and limits of a desktop's GPU. */
const LARGE: Caps = {
  ...LEAST,
  f16: true,
  subgroups: true,
  minSubgroupSize: 32,
  maxSubgroupSize: 32,
  maxBufferSize: 2 ** 31,
  maxStorageBufferBindingSize: 2 ** 31 - 4,
  maxStorageBuffersPerShaderStage: 16,
  maxComputeInvocationsPerWorkgroup: 1024,
  maxComputeWorkgroupStorageSize: 32768,
};
const MATRICES = [
  [16, 16, 16],
  [8, 16, 16],
  [8, 8, 8],
].map(([M, N, K]) => ({ componentType: 'f16', resultComponentType: 'f32', M: M!, N: N!, K: K! }));

export interface OtherDevice {
  readonly label: string;
  readonly caps: Caps;
}
export const DEVICES = {
  least: { label: 'The least that WebGPU asks for', caps: LEAST },
  nvidia: { label: 'NVIDIA', caps: { ...LARGE, vendor: 'nvidia' } },
  amd: { label: 'AMD', caps: { ...LARGE, vendor: 'amd', maxSubgroupSize: 64 } },
  intel: { label: 'Intel', caps: { ...LARGE, vendor: 'intel', minSubgroupSize: 8 } },
  apple: { label: 'Apple', caps: { ...LARGE, vendor: 'apple', dot4: false } },
  matrix: { label: 'A GPU with subgroup matrices', caps: { ...LARGE, subgroupMatrix: MATRICES } },
  swiftshader: { label: 'SwiftShader, on a CPU', caps: { ...LEAST, subgroups: true, software: true, wideCodes: true, maxSubgroupSize: 4 } },
  lavapipe: {
    label: 'lavapipe, on a CPU',
    caps: { ...LEAST, f16: true, subgroups: true, software: true, wideCodes: true, minSubgroupSize: 8, maxSubgroupSize: 8 },
  },
} as const satisfies Record<string, OtherDevice>;
export type DeviceName = keyof typeof DEVICES;
