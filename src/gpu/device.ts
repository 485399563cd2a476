// Requests a GPUDevice, reads its Caps, and checks that it is not lost.

import { anything, dictionary, fields, oneOf, optional, reading, refuse } from '../arguments/check.js';
import { sharedMap } from '../arguments/copies.js';
import { checkDevice, checkGpu } from '../arguments/gpu-objects.js';
import { whyNoAdapter, whyNoGpu } from '../arguments/host.js';
import { showValue } from '../arguments/show-value.js';
import { ArgumentError, DeviceLostError, UnsupportedError } from '../errors.js';
import type { Caps, MatrixConfig } from '../problem/caps.js';

/** The experimental feature of matmul-subgroup-matrix. */
const SUBGROUP_MATRIX = 'chromium-experimental-subgroup-matrix';
const FEATURES: readonly string[] = ['shader-f16', 'subgroups', 'timestamp-query', SUBGROUP_MATRIX];
/** Limits that bound the library; each is requested as large as the adapter has it. */
const LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
  'maxComputeWorkgroupStorageSize',
] as const;

const OPTIONS = fields({ gpu: optional(checkGpu), powerPreference: optional(oneOf<GPUPowerPreference>('low-power', 'high-performance')) });

/**
 * Requests a GPUDevice with every optional feature and the largest limits that this library can use. Any other GPUDevice works too, within
 * its features and limits.
 * @param options.gpu default `navigator.gpu`
 * @throws ArgumentError; UnsupportedError without WebGPU, without an adapter, or if the adapter gives no device
 * @example const device = await requestDevice({ powerPreference: 'high-performance' });
 */
export async function requestDevice(
  options: { readonly gpu?: GPU; readonly powerPreference?: GPUPowerPreference } = {},
): Promise<GPUDevice> {
  const { gpu: given, powerPreference } = OPTIONS(options, 'options');
  const gpu = given ?? (globalThis as { navigator?: { gpu?: GPU } }).navigator?.gpu;
  if (!gpu) throw new UnsupportedError('WebGPU', [whyNoGpu()]);
  const adapter = await gpu.requestAdapter(powerPreference ? { powerPreference } : {});
  if (!adapter) throw new UnsupportedError('WebGPU', [whyNoAdapter()]);
  const requiredFeatures = FEATURES.filter((name) => adapter.features.has(name)) as GPUFeatureName[];
  const limits = adapter.limits as unknown as Record<string, number>;
  const requiredLimits = Object.fromEntries(LIMITS.map((name) => [name, limits[name]!]));
  try {
    const device = await adapter.requestDevice({ requiredFeatures, requiredLimits });
    matrixConfigs.set(device, readMatrixConfigs(adapter.info)); // device.adapterInfo may lack them
    return device;
  } catch (error) {
    throw new UnsupportedError('WebGPU', [`requestDevice() failed: ${(error as Error).message}`]);
  }
}

/** Subgroup matrices of devices that this library, or another copy of it, requested. */
const matrixConfigs = sharedMap<GPUDevice, readonly MatrixConfig[]>('matrixConfigs');

/** The experimental part of the adapter's info, as plain data. */
function readMatrixConfigs(info: unknown): readonly MatrixConfig[] {
  const { subgroupMatrixConfigs = [] } = (info ?? {}) as { readonly subgroupMatrixConfigs?: Iterable<MatrixConfig> };
  return [...subgroupMatrixConfigs].map(({ componentType, resultComponentType, M, N, K }) => ({
    componentType,
    resultComponentType,
    M,
    N,
    K,
  }));
}

interface State {
  readonly caps: Caps;
  lost: GPUDeviceLostInfo | undefined;
}
const states = new WeakMap<GPUDevice, State>();

function stateOf(device: GPUDevice): State {
  let state = states.get(device);
  if (!state) {
    checkDevice(device);
    const made: State = { caps: reading('device', () => readCaps(device)), lost: undefined };
    Promise.resolve(device.lost).then(
      (info) => {
        made.lost = info;
      },
      () => {}, // no GPUDevice's: one that a caller pretends
    );
    states.set(device, made);
    state = made;
  }
  return state;
}

/** Some engines give a vendor's PCI number in place of its name. */
const VENDORS: Readonly<Record<string, string>> = { 4098: 'amd', 4203: 'apple', 4318: 'nvidia', 32902: 'intel' };
// 64 cores with 512 invocations each. A smaller GPU loses little by it; all but the smallest products fill a larger one.
const LANES = 32768;
const SOFTWARE = /swiftshader|llvmpipe|lavapipe|software|basic render|\bwarp\b/i;

function readCaps(device: GPUDevice): Caps {
  const { limits, features } = device;
  const info: Partial<GPUAdapterInfo> = device.adapterInfo ?? {};
  const names = [info.vendor, info.architecture, info.device, info.description].join(' ');
  const software = info.isFallbackAdapter === true || SOFTWARE.test(names);
  // A device does not tell its language features. Every known engine has packed products, so they are assumed without other information.
  const language = (globalThis as { navigator?: { gpu?: GPU } }).navigator?.gpu?.wgslLanguageFeatures;
  return {
    f16: features.has('shader-f16'),
    subgroups: features.has('subgroups'),
    subgroupMatrix: (features as ReadonlySet<string>).has(SUBGROUP_MATRIX) ? (matrixConfigs.get(device) ?? readMatrixConfigs(info)) : [],
    vendor: VENDORS[info.vendor ?? ''] ?? (info.vendor ?? '').toLowerCase(),
    lanes: LANES,
    software,
    wideCodes: software,
    scaleUnits: true,
    dot4: (language?.has('packed_4x8_integer_dot_product') ?? true) && !/apple/i.test(names),
    minSubgroupSize: info.subgroupMinSize ?? 4,
    maxSubgroupSize: info.subgroupMaxSize ?? 128,
    maxBufferSize: limits.maxBufferSize,
    maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
    maxStorageBuffersPerShaderStage: limits.maxStorageBuffersPerShaderStage,
    minStorageBufferOffsetAlignment: limits.minStorageBufferOffsetAlignment,
    maxComputeWorkgroupsPerDimension: limits.maxComputeWorkgroupsPerDimension,
    maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
    maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
  };
}

/** The caps of `device` as plain data; `pretend` overrides them. @throws ArgumentError */
export function capsOf(device: GPUDevice, pretend: Partial<Caps> = {}): Caps {
  const { caps } = stateOf(device);
  const less = dictionary(anything)(pretend, 'caps');
  for (const [name, value] of Object.entries(less)) {
    if (!Object.hasOwn(caps, name)) throw new ArgumentError(`caps.${name}`, Object.keys(caps).join(' or '), 'an unknown name');
    const own = caps[name as keyof Caps];
    const isArray = (given: unknown): boolean => reading(`caps.${name}`, () => Array.isArray(given));
    const like = typeof value === typeof own && isArray(value) === Array.isArray(own) && !Number.isNaN(value);
    if (!like) refuse(`caps.${name}`, `one like ${showValue(own)}`, value);
  }
  return { ...caps, ...less };
}

/** @throws DeviceLostError */
export function assertAlive(device: GPUDevice): void {
  const { lost } = stateOf(device);
  if (lost) throw new DeviceLostError(lost.reason, lost.message);
}

/** Waits for GPU work. Rejects with a DeviceLostError if the device is lost meanwhile. */
export async function whileAlive<T>(device: GPUDevice, work: Promise<T>): Promise<T> {
  assertAlive(device);
  try {
    return await work;
  } catch (error) {
    // A lost device rejects its work first, and resolves `lost` a moment later.
    await Promise.race([device.lost, new Promise((resolve) => setTimeout(resolve, 100))]);
    assertAlive(device);
    throw error;
  }
}
