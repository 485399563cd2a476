// A load whose signal comes while the runner is made, on a device that is none: it ends with the reason, and nothing is left.
import { expect, test, vi } from 'vitest';
import { Llm } from '../../../src/runtime/llm.js';
import { Runner } from '../../../src/sequence/runner.js';
import * as weights from '../../../src/sequence/weights.js';
import { GPU } from '../../support/devices.js';
import { modelFile } from '../../support/model-file.js';

vi.mock('../../../src/gpu/device.js', async (original) => ({ ...(await original<object>()), capsOf: () => GPU }));
vi.mock('../../../src/runtime/estimate.js', async (original) => ({ ...(await original<object>()), checkRoom: async () => {} }));
vi.mock('../../../src/sequence/weights.js', async (original) => ({ ...(await original<object>()), loadWeights: vi.fn() }));

const device = {
  ...{ createBuffer() {}, createComputePipeline() {}, createCommandEncoder() {}, pushErrorScope() {}, destroy() {} },
  queue: { submit() {}, writeBuffer() {} },
  features: new Set(),
  lost: new Promise(() => {}),
  limits: { maxBufferSize: 2 ** 30 },
} as unknown as GPUDevice;

test('ends with the reason, and frees weights and buffers', async () => {
  const controller = new AbortController();
  const [ofWeights, ofRunner] = [vi.fn(), vi.fn()];
  vi.mocked(weights.loadWeights).mockResolvedValue({ destroy: ofWeights } as unknown as weights.ModelWeights);
  vi.spyOn(Runner, 'make').mockImplementation(async () => {
    controller.abort(new Error('enough'));
    return { destroy: ofRunner } as unknown as Runner;
  });
  await expect(Llm.load(modelFile({ architecture: 'llama' }), { device, signal: controller.signal })).rejects.toThrow('enough');
  expect([ofWeights.mock.calls.length, ofRunner.mock.calls.length]).toEqual([1, 1]);
});
