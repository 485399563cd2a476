// Checks of WebGPU objects. They are recognized by their methods, since tests, wrappers and other realms have other classes. Common
// mistakes (a promise of the device, its adapter) get a message that names them.
import { ArgumentError } from '../errors.js';
import { finiteNumber, property, reading, withMethods } from './check.js';
import { showValue } from './show-value.js';

const can = (value: object, method: string, argument: string): boolean => typeof property(value, method, argument) === 'function';

/** Common mistakes: a method that only the wrong object has, and the message's `got`. */
const MISTAKES: readonly (readonly [method: string, got: string])[] = [
  ['then', 'a promise of one: await it'],
  ['requestDevice', 'a GPUAdapter: await requestDevice() of antiquant, or of the adapter'],
  ['requestAdapter', 'navigator.gpu: await requestDevice() of antiquant'],
  ['beginComputePass', 'a GPUCommandEncoder: beginComputePass() gives one'],
  ['dispatchWorkgroups', 'a GPUComputePassEncoder'],
];

function gpuObject(value: unknown, argument: string, expected: string, methods: readonly string[]): void {
  if (typeof value !== 'object' || value === null) throw new ArgumentError(argument, expected, showValue(value));
  if (methods.every((method) => can(value, method, argument))) {
    property(value, 'label', argument); // throws where this is a Proxy, whose methods would throw, too
    return;
  }
  const mistake = MISTAKES.find(([method]) => can(value, method, argument));
  throw new ArgumentError(argument, expected, mistake?.[1] ?? showValue(value));
}

/** Devices that were checked; every call checks its device. */
const devices = new WeakSet<object>();

/** @throws ArgumentError if `value` is no GPUDevice */
export function checkDevice(value: unknown, argument = 'device'): GPUDevice {
  const device = value as GPUDevice;
  if (typeof value === 'object' && value !== null && devices.has(value)) return device;
  gpuObject(value, argument, 'a GPUDevice', ['createBuffer', 'createComputePipeline', 'createCommandEncoder', 'pushErrorScope', 'destroy']);
  for (const [part, methods] of [
    ['queue', ['submit', 'writeBuffer']],
    ['features', ['has']],
    ['lost', ['then']],
  ] as const)
    withMethods(`a GPUDevice's ${part}`, ...methods)(property(device, part, argument), `${argument}.${part}`);
  reading(`${argument}.features`, () => device.features.has('shader-f16'));
  const limits = withMethods(`a GPUDevice's limits`)(property(device, 'limits', argument), `${argument}.limits`);
  finiteNumber(property(limits, 'maxBufferSize', `${argument}.limits`), `${argument}.limits.maxBufferSize`);
  devices.add(device);
  return device;
}

/** @throws ArgumentError if `value` is no GPUComputePassEncoder */
export function checkPass(value: unknown, argument = 'pass'): GPUComputePassEncoder {
  gpuObject(value, argument, 'a GPUComputePassEncoder', ['setPipeline', 'setBindGroup', 'dispatchWorkgroups']);
  return value as GPUComputePassEncoder;
}

/** @throws ArgumentError if `value` is no GPUBuffer */
export function checkBuffer(value: unknown, argument = 'buffer'): GPUBuffer {
  gpuObject(value, argument, 'a GPUBuffer', ['mapAsync', 'getMappedRange', 'destroy']);
  for (const part of ['size', 'usage']) finiteNumber(property(value as object, part, argument), `${argument}.${part}`);
  return value as GPUBuffer;
}

/** navigator.gpu or another GPU object. @throws ArgumentError */
export function checkGpu(value: unknown, argument = 'gpu'): GPU {
  gpuObject(value, argument, 'a GPU, as navigator.gpu is', ['requestAdapter']);
  return value as GPU;
}
