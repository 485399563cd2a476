// Without WebGPU, the message depends on the program: a server that renders pages gets no advice about browsers.
import { expect, test } from 'vitest';
import { type Host, whyNoAdapter, whyNoGpu } from '../../../src/arguments/host.js';
import { requestDevice, UnsupportedError } from '../../../src/index.js';

const node = { versions: { node: '22.0.0' } };
test.each<[string, Host, string, string]>([
  ['Node', { process: node }, '{ gpu: create([]) }', 'Vulkan driver'],
  ['Node that pretends to be a page', { process: node, document: {}, isSecureContext: false }, 'npm package webgpu', 'Vulkan driver'],
  ['Bun', { process: node, Bun: {} }, '{ gpu: create([]) }', 'Vulkan driver'],
  ['Deno', { process: node, Deno: {} }, '--unstable-webgpu', 'Vulkan driver'],
  ['a server of another kind', {}, 'where pages are shown', 'Vulkan driver'],
  ['a page', { document: {}, isSecureContext: true }, 'this browser has no WebGPU', 'that the browser accepts'],
  ['a worker', { WorkerGlobalScope: {}, isSecureContext: true }, 'this browser has no WebGPU', 'that the browser accepts'],
  ['a page on http', { document: {}, isSecureContext: false }, 'not on https or localhost', 'that the browser accepts'],
  ["Electron's page", { process: { versions: { node: '22', electron: '40' } }, document: {} }, 'this browser', 'that the browser accepts'],
])('%s', (_, host, noGpu, noAdapter) => {
  const told = [whyNoGpu(host), whyNoAdapter(host)];
  expect(told[0]).toContain(noGpu);
  expect(told[1]).toContain(noAdapter);
  if (!host.document && !host.WorkerGlobalScope) expect(told.join()).not.toMatch(/browser/);
});

test('requestDevice, as it is called here', async () => {
  const here = await requestDevice().catch((error: unknown) => error);
  expect(here).toBeInstanceOf(UnsupportedError);
  expect((here as Error).message).toBe(
    'WebGPU: there is no navigator.gpu: Node has no WebGPU; requestDevice({ gpu: create([]) }), with create of the npm package webgpu, has one',
  );
  const none = await requestDevice({ gpu: { requestAdapter: async () => null } as unknown as GPU }).catch((error: unknown) => error);
  expect((none as Error).message).toContain('WebGPU: requestAdapter() found no adapter: no GPU driver was found');
});
