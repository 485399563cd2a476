// The language model's bench under Dawn for Node. argv[2]: JSON of Asked. Prints progress to stderr and { rows } to stdout.
import { create, globals } from 'webgpu';
import { requestDevice } from '../../src/index.js';
import { Llm } from '../../src/llm.js';
import { calm } from './clocks.js';
import { speaker } from './decode.js';
import { modelPath } from './models.js';
import { beyondProducts, byPosition, hostWork, load, peak } from './parts.js';
import { native } from './peers.js';
import type { Row } from './rows.js';
import { versus } from './versus.js';

interface Asked {
  /** Of the models' files. */
  readonly models: string;
  /** That node-llama-cpp is installed in, if it is. */
  readonly peers?: string;
  readonly rounds: number;
  readonly only: string;
}
const { models, peers, rounds, only } = JSON.parse(process.argv[2]!) as Asked;

Object.assign(globalThis, globals);
const dawn = create([]); // reachable for the life of the process: Dawn dies when it is collected
Object.defineProperty(globalThis, 'navigator', { value: { gpu: dawn, userAgent: 'node' }, configurable: true });

const CONTEXT = 512;
const device = await requestDevice();
const software = /llvmpipe|lavapipe|swiftshader/i.test(device.adapterInfo.description);
const qwen = modelPath(models, 'qwen-4');

async function againstNative(folder: string): Promise<readonly Row[]> {
  const llm = await Llm.load(qwen, { device, context: CONTEXT });
  await llm.prepare();
  const pair = { ours: speaker(llm, CONTEXT), peer: await native(folder, qwen, CONTEXT), rounds, clock: 'cpu' as const };
  const rows = [
    await versus({ ...pair, what: 'decode: llama.cpp native, 1 thread / ours', floor: 0.25 }),
    await versus({ ...pair, what: 'prompt of 128: llama.cpp native, 1 thread / ours', prompt: 128, floor: 0.09 }),
  ];
  llm.destroy();
  return rows;
}

/** Prompts whose rows are multiplied as integers beside those that round nothing: on software adapters what emulating them costs. */
async function integerPrompts(): Promise<Row> {
  const [ours, peer] = [
    await Llm.load(qwen, { device, context: CONTEXT, innerPrecise: 1 }),
    await Llm.load(qwen, { device, context: CONTEXT }),
  ] as const;
  for (const llm of [ours, peer]) await llm.prepare();
  const pair = { ours: speaker(ours, CONTEXT), peer: speaker(peer, CONTEXT), rounds, clock: 'cpu' as const };
  const row = await versus({ ...pair, what: 'prompt of 128: innerPrecise 0 / 1', names: ['innerPrecise 1', '0'], prompt: 128 });
  for (const llm of [ours, peer]) llm.destroy();
  return row;
}

const MEASURES: Readonly<Record<string, () => Promise<readonly Row[]>>> = {
  host: async () => [await hostWork(device, modelPath(models, 'layers-24'), rounds)],
  products: async () => [await beyondProducts(device, qwen, rounds)],
  positions: async () => [await byPosition(device, modelPath(models, 'qwen-2'), Math.min(rounds, 3))],
  integers: async () => [await integerPrompts()],
  load: () => load(device, qwen, Math.min(rounds, 5)),
  ...(software && { peak: () => peak(device, modelPath(models, 'qwen-24'), qwen) }),
  ...(peers && software && { native: () => againstNative(peers) }),
};

const still = software ? calm() : undefined;
const rows: Row[] = [];
for (const [name, measure] of Object.entries(MEASURES)) {
  if (!new RegExp(only).test(name)) continue;
  console.error(`language model: ${name}`);
  rows.push(...(await measure()));
}
still?.();
process.stdout.write(`${JSON.stringify({ adapter: device.adapterInfo.description, rows })}\n`);
process.exit(0);
