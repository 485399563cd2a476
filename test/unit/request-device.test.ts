// What requestDevice asks an adapter for, seen by a gpu that writes it down.
import { expect, test } from 'vitest';
import { ArgumentError, type DeviceOptions, requestDevice, UnsupportedError, wantedFeatures, wantedLimits } from '../../src/index.js';

const LIMITS = {
  ...Object.fromEntries(wantedLimits.map((name, i) => [name, 100 + i])),
  maxBindGroups: 4,
  minUniformBufferOffsetAlignment: 64,
};

async function askedOf(features: readonly string[], options: DeviceOptions): Promise<GPUDeviceDescriptor> {
  let asked: GPUDeviceDescriptor | undefined;
  const adapter = {
    features: new Set(features),
    limits: LIMITS,
    info: {},
    requestDevice: async (descriptor: GPUDeviceDescriptor) => {
      asked = descriptor;
      return {};
    },
  };
  await requestDevice({ gpu: { requestAdapter: async () => adapter } as unknown as GPU, ...options });
  return asked!;
}

test('without requirements: what the library wants, as the adapter has it', async () => {
  expect(await askedOf(['shader-f16', 'clip-distances'], {})).toEqual({
    requiredFeatures: ['shader-f16'],
    requiredLimits: Object.fromEntries(wantedLimits.map((name, i) => [name, 100 + i])),
  });
  expect((await askedOf([...wantedFeatures], {})).requiredFeatures).toEqual(wantedFeatures);
});

test('requirements are asked for besides, each feature once, and no limit is lowered', async () => {
  const options = {
    requiredFeatures: ['clip-distances', 'shader-f16'],
    requiredLimits: { maxBindGroups: 3, maxBufferSize: 7, minUniformBufferOffsetAlignment: 128 },
    label: 'mine',
  };
  const { label, requiredFeatures, requiredLimits } = await askedOf(['shader-f16', 'clip-distances'], options);
  expect(label).toBe('mine');
  expect(requiredFeatures).toEqual(['shader-f16', 'clip-distances']);
  expect(requiredLimits).toMatchObject({ maxBindGroups: 3, maxBufferSize: 100, minUniformBufferOffsetAlignment: 128 });
});

test('what the adapter lacks is an error that names all of it', async () => {
  const asked = askedOf([], {
    requiredFeatures: ['clip-distances'],
    requiredLimits: { maxBindGroups: 5, minUniformBufferOffsetAlignment: 32, maxWonders: 1, maxBufferSize: 100 },
  });
  const error = await asked.catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(UnsupportedError);
  expect((error as UnsupportedError).reasons).toEqual([
    'the adapter has no feature clip-distances',
    'maxBindGroups of 5 is required, the adapter has 4',
    'minUniformBufferOffsetAlignment of 32 is required, the adapter has 64',
    'the adapter has no limit maxWonders',
  ]);
});

test.each<[DeviceOptions, string]>([
  [{ requiredFeatures: 'shader-f16' as never }, 'requiredFeatures: expected an array'],
  [{ requiredFeatures: [1 as never] }, 'requiredFeatures[0]: expected a string, got 1'],
  [{ requiredLimits: { maxBindGroups: -1 } }, 'maxBindGroups: expected a whole number of at least 0, got -1'],
  [{ label: 1 as never }, 'label: expected a string, got 1'],
])('wrong options %j', async (options, message) => {
  const error = await askedOf([], options).catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(ArgumentError);
  expect((error as Error).message).toContain(message);
});
