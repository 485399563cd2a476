// What a device's logger hears: what the device lacks, compiled shaders, failed self-tests, measured choices, layers that stay apart; and that
// nobody hears anything without one.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { disable, holdScalesWide } from '../../src/gpu/device-findings.js';
import {
  forwardMany,
  type LinearWeightQuant,
  type LogRecord,
  logTo,
  prepareMany,
  requestDevice,
  type TuningStore,
} from '../../src/index.js';
import { Llm, LlmWorker } from '../../src/llm.js';
import { gpu } from '../support/dawn.js';
import { deviceForEach } from '../support/fresh-device.js';
import { channelWorker, closeChannels } from '../support/llm-worker.js';
import { smallLayers, smallX } from '../support/small-layers.js';
import { numbersOf } from '../support/small-product.js';

let device: GPUDevice;
deviceForEach((fresh) => {
  device = fresh;
});

/** Records, and a logger of them. */
function heard() {
  const records: LogRecord[] = [];
  const of = (code: string): LogRecord[] => records.filter((record) => record.code === code);
  return { records, of, logger: (record: LogRecord) => void records.push(record) };
}

test('requestDevice tells what the device lacks; logTo of any other device, and the last logger counts', async () => {
  const { records, logger } = heard();
  const own = await requestDevice({ gpu, logger });
  const lacks = ['shader-f16', 'subgroups'].filter((name) => !(own.features as ReadonlySet<string>).has(name));
  expect(records).toEqual([{ level: 'info', code: 'device', message: expect.any(String), software: true, lacks }]);

  const plain = await (await gpu.requestAdapter())!.requestDevice();
  const [first, second] = [heard(), heard()];
  expect(logTo(plain, first.logger)).toBe(plain);
  expect(first.records).toMatchObject([{ code: 'device', software: true, lacks: ['shader-f16', 'subgroups'] }]);
  logTo(plain, second.logger);
  await smallX(plain).read();
  disable(plain, { variant: 'v', where: 'y', expected: '1', got: '2' });
  expect(first.records.length).toBe(1);
  expect(second.records.map(({ code }) => code)).toEqual(['device', 'disabled']);
  own.destroy();
  plain.destroy();
  expect(() => logTo(device, 'console' as never)).toThrow('logger: expected a function');
  expect(() => logTo({} as never, logger)).toThrow('device: expected a GPUDevice');
  await expect(requestDevice({ gpu, logger: 1 as never })).rejects.toThrow('logger: expected a function');
});

test('each compiled shader, with its time; what fails a self-test', async () => {
  const { of, logger } = heard();
  logTo(device, logger);
  const [layer] = smallLayers(device, [64]) as [LinearWeightQuant];
  await layer.prepare([3], { store: null });
  const { dispatches } = layer.explain(3);
  const compiled = of('compiled');
  expect(compiled.map(({ variant }) => String(variant).split('[')[0])).toEqual(
    expect.arrayContaining(dispatches.map(({ shader }) => shader)),
  );
  expect(new Set(compiled.map(({ variant }) => variant)).size).toBe(compiled.length);
  for (const { level, ms } of compiled) expect([level, Number(ms) >= 0]).toEqual(['debug', true]);
  const before = compiled.length;
  await layer.prepare([3], { store: null });
  expect(of('compiled').length).toBe(before); // nothing is compiled twice

  const fault = { variant: 'matmul-rows[A=1]', where: 'y[0]', expected: '1', got: '2' };
  disable(device, fault);
  disable(device, fault);
  expect(of('disabled')).toEqual([{ level: 'warn', code: 'disabled', message: 'matmul-rows[A=1]: y[0]: expected 1, got 2', ...fault }]);
  holdScalesWide(device);
  expect(of('wide').map(({ level }) => level)).toEqual(['warn']);
});

test('a measured choice, and a store that fails', async () => {
  const { of, logger } = heard();
  logTo(device, logger);
  const store: TuningStore = {
    get: async () => undefined,
    set: async () => {
      throw new Error('the disk is full');
    },
  };
  const [layer] = smallLayers(device, [64]) as [LinearWeightQuant];
  await layer.prepare([1], { tune: true, budgetMs: 400, store });
  const [tuned, ...more] = of('tuned');
  expect(more).toEqual([]);
  expect(tuned).toMatchObject({ level: 'info', kernel: expect.any(String), ratio: expect.any(Number), problem: expect.any(String) });
  expect(of('forgetful').map(({ message }) => message)).toEqual([
    'the store of measured choices failed (the disk is full): they are not kept',
  ]);
});

test('layers that there is no memory to lay side by side', async () => {
  const { of, logger } = heard();
  logTo(device, logger);
  const layers = smallLayers(device, [64, 20]);
  const x = smallX(device);
  const want = await Promise.all(layers.map((layer) => numbersOf(layer.forward(x))));
  const create = device.createBuffer.bind(device);
  vi.spyOn(device, 'createBuffer').mockImplementation((descriptor) =>
    create(/ of 2 layers$/.test(descriptor.label ?? '') ? { ...descriptor, usage: 0 } : descriptor),
  );
  await prepareMany(layers, [3]);
  expect(of('apart')).toEqual([
    {
      level: 'warn',
      code: 'apart',
      message: '2 layers do not lie side by side, and each keeps its dispatch: there was no memory',
      layers: 2,
    },
  ]);
  expect(await Promise.all(forwardMany(layers, x).map(numbersOf))).toEqual(want);
});

test('a logger that throws changes no result, and without one nothing is written', async () => {
  const said = (['log', 'info', 'warn', 'error', 'debug'] as const).map((name) => vi.spyOn(console, name).mockImplementation(() => {}));
  const x = smallX(device);
  const [quiet] = smallLayers(device, [64]) as [LinearWeightQuant];
  const want = await numbersOf(quiet.forward(x));
  disable(device, { variant: 'v', where: 'y', expected: '1', got: '2' });
  expect(said.map(({ mock }) => mock.calls)).toEqual([[], [], [], [], []]);

  const calls = vi.fn();
  const loud = await requestDevice({
    gpu,
    logger: () => {
      calls();
      throw new Error('of the logger');
    },
  });
  const [layer] = smallLayers(loud, [64]) as [LinearWeightQuant];
  await layer.prepare([3], { store: null });
  expect(await numbersOf(layer.forward(smallX(loud)))).toEqual(want);
  expect(calls.mock.calls.length).toBeGreaterThan(1);
  loud.destroy();
});

test('Llm.load gives it to the device, and a worker sends records, also after the load', { timeout: 120_000 }, async () => {
  vi.stubGlobal('navigator', { gpu });
  const bytes = new Uint8Array(readFileSync(join(import.meta.dirname, '../../models/kjv.gguf')));
  const here = heard();
  const llm = await Llm.load(bytes, { logger: here.logger, device });
  expect(here.records[0]).toMatchObject({ code: 'device' });
  expect(here.of('compiled').length).toBeGreaterThan(3);
  llm.destroy();

  const there = heard();
  const inWorker = await LlmWorker.load(bytes, { worker: () => channelWorker(), logger: there.logger });
  expect(there.records[0]).toMatchObject({ level: 'info', code: 'device' });
  const before = there.of('compiled').length;
  expect(before).toBeGreaterThan(3);
  for await (const { text } of inWorker.complete('In the beginning ', { maxTokens: 2, temperature: 0.8 }))
    expect(text).toEqual(expect.any(String));
  expect(there.of('compiled').length).toBeGreaterThan(before);
  inWorker.destroy();
  closeChannels();
  vi.unstubAllGlobals();
  await expect(Llm.load(bytes, { logger: 'console' as never })).rejects.toThrow('logger: expected a function');
});
