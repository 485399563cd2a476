// antiquant doctor without a GPU, what it says is missing, and which variants it tests.
import { describe, expect, test } from 'vitest';
import { missingOf } from '../../../cli/doctor-missing.js';
import { doctorText } from '../../../cli/doctor-text.js';
import { variantsFor } from '../../../cli/doctor-variants.js';
import type { DoctorDocument } from '../../../cli/documents.js';
import { dawn } from '../../../cli/gpu.js';
import { variantId } from '../../../src/kernels/kernel.js';
import { makeTrial } from '../../../src/trial/trial.js';
import { call, widest } from '../../support/call-cli.js';
import { LAVAPIPE, MATRIX_GPU } from '../../support/devices.js';

test('without a GPU: 4, the reason, and a document all the same', async () => {
  const { code, out } = await call(['doctor']);
  expect(code).toBe(4);
  expect(out).toMatch(/GPU +none: this test has none/);
  const { code: again, json } = await call(['doctor', '--json']);
  expect(again).toBe(4);
  expect(json()).toMatchObject({ command: 'doctor', gpu: null, noGpu: 'this test has none', selfTest: null, copyBytesPerSecond: null });
  const names = json().packages.map(({ name, version }: DoctorDocument['packages'][number]) => [name, version !== null]);
  expect(names).toEqual([
    ['webgpu', true],
    ['@huggingface/tokenizers', true],
    ['@huggingface/jinja', true],
  ]);
});

test('of two subsets neither is taken', async () => {
  const { code, err } = await call(['doctor', '--quick', '--all']);
  expect(code).toBe(2);
  expect(err).toMatch(/--quick, --all: expected one of them, got both/);
});

const GPU: NonNullable<DoctorDocument['gpu']> = {
  adapter: 'a GPU',
  vendor: '',
  architecture: '',
  device: '',
  description: '',
  software: false,
  features: ['shader-f16', 'subgroups'],
  subgroups: { least: 32, most: 32 },
  subgroupMatrices: [],
  limits: { maxBufferSize: 2 ** 30 },
};
const packages = [{ name: 'webgpu', version: '1.0.0', for: 'a GPU' }];

describe('what is missing, and how to get it', () => {
  const of = (change: Partial<Parameters<typeof missingOf>[0]>) =>
    missingOf({ packages, gpu: GPU, platform: 'linux', ...change }).map(({ what, how }) => `${what} → ${how}`);
  test('nothing', () => expect(of({})).toEqual([]));
  test('Dawn: the package, and nothing about drivers, which cannot be known yet', () => {
    const found = of({ packages: [{ ...packages[0]!, version: null }], gpu: null });
    expect(found).toEqual([expect.stringMatching(/webgpu: no GPU in Node → npm i webgpu$/)]);
  });
  test('a driver, by the system', () => {
    expect(of({ gpu: null })).toEqual([expect.stringMatching(/Vulkan driver/)]);
    expect(of({ gpu: null, platform: 'win32' })).toEqual([expect.stringMatching(/Direct3D 12/)]);
    expect(of({ gpu: null, platform: 'plan9' })).toEqual([expect.stringMatching(/Vulkan, Metal or Direct3D 12/)]);
    expect(of({ gpu: { ...GPU, software: true } })).toEqual([expect.stringMatching(/runs on the CPU → .*Vulkan driver/)]);
  });
  test('features', () => {
    expect(of({ gpu: { ...GPU, features: [] } })).toEqual([expect.stringMatching(/^shader-f16/), expect.stringMatching(/^subgroups/)]);
  });
});

test('Dawn that is absent, that is broken, and that is found at the second place', async () => {
  const absent = async (): Promise<never> => {
    throw Object.assign(new Error('no'), { code: 'ERR_MODULE_NOT_FOUND' });
  };
  const broken = async (): Promise<never> => {
    throw Object.assign(new Error('dawn.node: cannot open'), { code: 'ERR_DLOPEN_FAILED' });
  };
  const here = { create: () => ({}), globals: {} };
  expect(await dawn([absent, absent])).toEqual({ why: expect.stringMatching(/not installed.*npm i webgpu$/) });
  expect(await dawn([absent, broken])).toEqual({ why: expect.stringMatching(/does not load: dawn\.node: cannot open.*npm i webgpu$/) });
  expect(await dawn([absent, async () => here])).toBe(here);
});

test('variants: of each tile that is meant for the device, with a trial, each once; more with more asked for', { timeout: 300_000 }, () => {
  const ids = (each: number): string[] => [...variantsFor(LAVAPIPE, each)].map(({ kernel, params }) => variantId(kernel, params));
  const [one, two] = [ids(1), ids(2)];
  expect(new Set(two).size).toBe(two.length);
  expect(two.length).toBe(2 * one.length);
  const kernels = new Set([...variantsFor(LAVAPIPE, 1)].map(({ kernel }) => kernel));
  expect(kernels).toContain('matmul-plain');
  expect(kernels).not.toContain('matmul-decode'); // a GPU's
  const [first] = variantsFor(MATRIX_GPU, 1);
  expect(makeTrial(first!, MATRIX_GPU)).toBeDefined();
});

test('the text fits its width, and shows what failed', () => {
  const document: DoctorDocument = {
    command: 'doctor',
    version: '1.2.3',
    node: 'v22',
    platform: 'linux x64',
    packages,
    gpu: GPU,
    noGpu: null,
    selfTest: {
      subset: 'quick',
      variants: 9,
      kernels: { 'matmul-plain': 9 },
      failed: [{ variant: 'matmul-plain[X=0]', where: 'y[0, 1]', expected: '1', got: '2' }],
      seconds: 1.25,
    },
    copyBytesPerSecond: 2e11,
    missing: missingOf({ packages, gpu: { ...GPU, features: [] }, platform: 'linux' }),
  };
  const text = doctorText(document, 60);
  expect(widest(text)).toBeLessThanOrEqual(60);
  expect(text).toMatch(/8 of 9 variants right/);
  expect(text).toMatch(/FAILED matmul-plain\[X=0\]: y\[0, 1\]: expected 1, got 2/);
  expect(text).toMatch(/copying +200 GB\/s/);
});
