// Requests a GPUDevice, reads its Caps, and checks that it is not lost.

import { anything, callback, dictionary, fields, list, oneOf, optional, reading, refuse, text, wholeNumber } from '../arguments/check.js';
import { sharedMap } from '../arguments/copies.js';
import { checkDevice, checkGpu } from '../arguments/gpu-objects.js';
import { whyNoAdapter, whyNoGpu } from '../arguments/host.js';
import { showValue } from '../arguments/show-value.js';
import { ArgumentError, DeviceLostError, UnsupportedError } from '../errors.js';
import { attach, type Logger, log } from '../log.js';
import type { Caps, MatrixConfig } from '../problem/caps.js';

/** The experimental feature of matmul-subgroup-matrix. */
const SUBGROUP_MATRIX = 'chromium-experimental-subgroup-matrix';
/**
 * The features that `requestDevice` asks for where the adapter has them. A device that you request yourself serves best with them.
 * @example requiredFeatures: wantedFeatures.filter((name) => adapter.features.has(name))
 */
export const wantedFeatures: readonly string[] = ['shader-f16', 'subgroups', 'timestamp-query', SUBGROUP_MATRIX];
/** The limits that bound this library. `requestDevice` asks for each as large as the adapter has it. */
export const wantedLimits: readonly string[] = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
  'maxComputeWorkgroupStorageSize',
];

const OPTIONS = fields({
  gpu: optional(checkGpu),
  powerPreference: optional(oneOf<GPUPowerPreference>('low-power', 'high-performance')),
  requiredFeatures: optional(list(text)),
  requiredLimits: optional(dictionary(wholeNumber(0))),
  label: optional(text),
  logger: optional(callback),
});

/** What the caller asks of the device besides what this library asks for. */
export interface DeviceOptions {
  /** Default `navigator.gpu`. */
  readonly gpu?: GPU;
  readonly powerPreference?: GPUPowerPreference;
  readonly requiredFeatures?: readonly string[];
  readonly requiredLimits?: Readonly<Record<string, number>>;
  readonly label?: string;
  /** Receives records of what the library does by itself on the device (docs/log.md). Default: none, and nothing is written. */
  readonly logger?: Logger | undefined;
}

/**
 * Requests a GPUDevice with every optional feature and the largest limits that this library can use (`wantedFeatures`, `wantedLimits`), and
 * with those that you require. Any other GPUDevice works too, within its features and limits.
 * @throws ArgumentError; UnsupportedError without WebGPU, without an adapter, if the adapter lacks what you require, or if it gives no device
 * @example const device = await requestDevice({ powerPreference: 'high-performance', requiredFeatures: ['float32-filterable'] });
 */
export async function requestDevice(options: DeviceOptions = {}): Promise<GPUDevice> {
  const { gpu: given, powerPreference, requiredFeatures = [], requiredLimits = {}, label, logger } = OPTIONS(options, 'options');
  const gpu = given ?? (globalThis as { navigator?: { gpu?: GPU } }).navigator?.gpu;
  if (!gpu) throw new UnsupportedError('WebGPU', [whyNoGpu()]);
  const adapter = await gpu.requestAdapter(powerPreference ? { powerPreference } : {});
  if (!adapter) throw new UnsupportedError('WebGPU', [whyNoAdapter()]);
  const has = adapter.features as ReadonlySet<string>;
  const limits = adapter.limits as unknown as Readonly<Record<string, number | undefined>>;
  const lacking = [
    ...requiredFeatures.filter((name) => !has.has(name)).map((name) => `the adapter has no feature ${name}`),
    ...Object.entries(requiredLimits).flatMap(([name, need]) => beyond(name, need, limits[name]) ?? []),
  ];
  if (lacking.length > 0) throw new UnsupportedError('requestDevice', lacking);
  const descriptor = {
    ...(label !== undefined && { label }),
    requiredFeatures: [...new Set([...wantedFeatures.filter((name) => has.has(name)), ...requiredFeatures])] as GPUFeatureName[],
    // The adapter's own limits are at least what the caller requires.
    requiredLimits: { ...requiredLimits, ...Object.fromEntries(wantedLimits.map((name) => [name, limits[name]!])) },
  };
  try {
    const device = await adapter.requestDevice(descriptor);
    matrixConfigs.set(device, readMatrixConfigs(adapter.info)); // device.adapterInfo may lack them
    return logger ? logTo(device, logger as Logger) : device;
  } catch (error) {
    throw new UnsupportedError('WebGPU', [`requestDevice() failed: ${(error as Error).message}`]);
  }
}

/**
 * Records of what the library does by itself on a device go to `logger` from now on, whoever made the device: a device has one logger, the last.
 * The first record says what the device lacks (docs/log.md). Returns the device.
 * @throws ArgumentError
 * @example logTo(device, ({ level, message }) => console[level](message));
 */
export function logTo(device: GPUDevice, logger: Logger): GPUDevice {
  attach(checkDevice(device), callback(logger, 'logger') as Logger);
  const { f16, subgroups, software } = capsOf(device);
  const lacks = [...(f16 ? [] : ['shader-f16']), ...(subgroups ? [] : ['subgroups'])];
  log(device, 'device', `${software ? 'a software adapter' : 'a GPU'}; lacks ${lacks.join(', ') || 'nothing'}`, { software, lacks });
  return device;
}

/** Why the adapter does not reach a limit; undefined if it does. A limit whose name begins with min is better the smaller it is. */
function beyond(name: string, need: number, has: number | undefined): string | undefined {
  if (has === undefined) return `the adapter has no limit ${name}`;
  const reached = name.startsWith('min') ? need >= has : need <= has;
  return reached ? undefined : `${name} of ${need} is required, the adapter has ${has}`;
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
