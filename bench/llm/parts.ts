// What a token of ours consists of: the host's work beside a bare loop, the products beside all else, the time by position, and the load.
// Everything on Dawn.
import { readFileSync, statSync } from 'node:fs';
import { BUFFER, makeBuffers } from '../../src/gpu/buffers.js';
import { capsOf, requestDevice } from '../../src/gpu/device.js';
import type { Config } from '../../src/llm/config.js';
import { Llm } from '../../src/llm.js';
import type { Choosing } from '../../src/llm-kernels/pick.js';
import { openLanguageModel } from '../../src/model/open-language-model.js';
import { replay } from '../../src/recorded/record-steps.js';
import { chooseIds } from '../../src/runtime/choose.js';
import { bindSteps } from '../../src/sequence/bind-steps.js';
import { bufferSizes } from '../../src/sequence/memory.js';
import { Runner } from '../../src/sequence/runner.js';
import { fusesNorms, tokenSteps } from '../../src/sequence/step-plan.js';
import { tokenTensors } from '../../src/sequence/tensors.js';
import { loadWeights, type ModelWeights } from '../../src/sequence/weights.js';
import { cost, median, processCpu, spread, threadCpu } from './clocks.js';
import { promptIds } from './prompt.js';
import type { Row } from './rows.js';

const ms = (value: number): string => `${value.toPrecision(3)} ms`;
/** Runs each in turn, in an order that turns round. */
async function inTurns(rounds: number, runs: readonly (() => Promise<void>)[]): Promise<void> {
  for (let i = 0; i < rounds; i++) for (const run of i % 2 ? runs : [...runs].reverse()) await run();
}

interface Parts {
  readonly config: Config;
  readonly weights: ModelWeights;
  readonly runner: Runner;
}
/** What Llm.load makes, for those that look inside. */
async function partsOf(device: GPUDevice, path: string, context: number): Promise<Parts> {
  const model = await openLanguageModel(path);
  const { config } = model;
  const weights = await loadWeights(device, model, { context, fused: fusesNorms(config, capsOf(device)) });
  return { config, weights, runner: await Runner.make(device, config, weights, { context, kv: 'f16' }) };
}

const greedy = ({ vocabulary }: Config, context: number, limit: number): Choosing => ({
  ...{ vocabulary, context, limit },
  ...{ stops: [], temperature: 0, seed: 0 },
});

async function prompt(runner: Runner, ids: readonly number[]): Promise<void> {
  let position = 0;
  for (const { rows, of } of runner.chunks(ids.length)) {
    await runner.rows(ids.slice(position, position + rows), { position, of });
    position += rows;
  }
  await runner.settled();
}

/** The last id of a prompt that is in the cache. */
const again = (runner: Runner, ids: readonly number[]): Promise<void> => runner.rows(ids.slice(-1), { position: ids.length - 1, of: 1 });

interface Command {
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
  readonly workgroups: [number, number, number];
}
function commandsOf(runner: Runner): readonly Command[] {
  const commands: Command[] = [];
  let [pipeline, bindGroup]: [GPUComputePipeline?, GPUBindGroup?] = [];
  runner.token({
    setPipeline: (given) => {
      pipeline = given;
    },
    setBindGroup: (_: number, given: GPUBindGroup | null | undefined) => {
      bindGroup = given!;
    },
    dispatchWorkgroups: (x, y = 1, z = 1) => {
      commands.push({ pipeline: pipeline!, bindGroup: bindGroup!, workgroups: [x, y, z] });
    },
  });
  return commands;
}

/** The host's thread: tokens as `generate` chooses them, and the same commands in a bare loop over the same objects. */
export async function hostWork(device: GPUDevice, path: string, rounds: number): Promise<Row> {
  const [BEGIN, TOKENS, EACH] = [32, 64, 8];
  const { runner, weights, config } = await partsOf(device, path, 256);
  const ids = promptIds(BEGIN);
  await prompt(runner, ids);
  const commands = commandsOf(runner);
  const { source, staging } = Object.fromEntries(
    makeBuffers(device, [
      ['source', { label: 'bench source', usage: BUFFER.output, size: 512 }],
      ['staging', { label: 'bench staging', usage: BUFFER.staging, size: 512 }],
    ]),
  ) as Record<'source' | 'staging', GPUBuffer>;
  const generate = async (): Promise<void> => {
    const how = { ...greedy(config, 256, TOKENS), tokensPerSubmit: EACH };
    const stats = { loadMs: 0, promptTokens: 0, promptMs: 0, tokens: 0, decodeMs: 0, submits: 0, clamped: 0 };
    runner.begin();
    await again(runner, ids);
    for await (const _ of chooseIds(runner, how, { prompt: ids, under: [], stats, took() {}, check() {} }));
  };
  const bare = async (): Promise<void> => {
    for (let i = 0; i < TOKENS / EACH; i++) {
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      for (let t = 0; t < EACH; t++)
        for (const { pipeline, bindGroup, workgroups } of commands) {
          pass.setPipeline(pipeline);
          pass.setBindGroup(0, bindGroup);
          pass.dispatchWorkgroups(...workgroups);
        }
      pass.end();
      encoder.copyBufferToBuffer(source, 0, staging, 0, 512);
      device.queue.submit([encoder.finish()]);
      await staging.mapAsync(1 /* GPUMapMode.READ */);
      staging.unmap();
    }
  };
  const clock = (): number => threadCpu() ?? performance.now();
  const times = { ours: [] as number[], bare: [] as number[] };
  const timed = (list: number[], run: () => Promise<void>) => async (): Promise<void> => {
    const start = clock();
    await run();
    list.push((clock() - start) / TOKENS);
  };
  await generate();
  await bare();
  await inTurns(rounds, [timed(times.ours, generate), timed(times.bare, bare)]);
  runner.destroy();
  weights.destroy();
  return {
    what: 'JS a token of 24 layers / a bare loop over the same objects',
    measured: spread(times.ours.map((own, i) => own / times.bare[i]!)),
    floor: { atMost: 1.3 },
    how: `CPU of the thread, ${commands.length} dispatches: ${ms(median(times.ours))} and ${ms(median(times.bare))} a token, ${rounds} rounds in turns`,
  };
}

/** All of a token that is no product: (token − its bare products) / token. */
export async function beyondProducts(device: GPUDevice, path: string, rounds: number): Promise<Row> {
  const [POSITION, EACH] = [128, 8];
  const { runner, weights, config } = await partsOf(device, path, 256);
  const plan = tokenSteps({ config, kv: 'f16', capacity: 256, caps: capsOf(device) });
  const sizes = Object.entries(bufferSizes(config, 256));
  const buffers = makeBuffers(
    device,
    sizes.map(([name, size]) => [name, { label: `bench ${name}`, usage: BUFFER.output, size }] as const),
  );
  const tensors = tokenTensors(device, config, buffers);
  const products = plan.filter((step) => 'product' in step);
  const bound = bindSteps(products, { tensors, weights, buffers, epsilon: config.epsilon });
  const bare = async (): Promise<void> => {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (let i = 0; i < EACH; i++) replay(pass, bound.recorded);
    pass.end();
    device.queue.submit([encoder.finish()]);
    await device.queue.onSubmittedWorkDone();
  };
  const ids = promptIds(POSITION);
  await prompt(runner, ids);
  const token = async (): Promise<void> => {
    await again(runner, ids);
    await runner.choose(greedy(config, 256, 1 + EACH), ids);
    await runner.first();
    await runner.more(EACH);
  };
  const first = async (): Promise<void> => {
    await again(runner, ids);
    await runner.choose(greedy(config, 256, 1), ids);
    await runner.first();
  };
  const times = { token: [] as number[], first: [] as number[], bare: [] as number[] };
  const timed = (list: number[], run: () => Promise<void>) => async (): Promise<void> => void list.push((await cost(run)).cpu);
  for (const run of [token, first, bare]) await run();
  await inTurns(rounds, [timed(times.token, token), timed(times.first, first), timed(times.bare, bare)]);
  runner.destroy();
  weights.destroy();
  for (const buffer of buffers.values()) buffer.destroy();
  const tokens = times.token.map((all, i) => (all - times.first[i]!) / EACH);
  const bares = times.bare.map((all) => all / EACH);
  return {
    what: '(token − its bare products) / token, position 128',
    measured: spread(tokens.map((whole, i) => (whole - bares[i]!) / whole)),
    floor: { atMost: 0.15 },
    how: `CPU time: ${ms(median(tokens))} a token, ${ms(median(bares))} its ${products.length} products; ${rounds} rounds in turns`,
  };
}

/** A token's time by position: is it on a line? */
export async function byPosition(device: GPUDevice, path: string, rounds: number): Promise<Row> {
  const POSITIONS = [128, 256, 512, 1024, 2048, 4096 - 8];
  const llm = await Llm.load(path, { device, context: 4096 });
  const ids = promptIds(POSITIONS.at(-1)!);
  const times: number[] = [];
  for (const position of POSITIONS) {
    const list: number[] = [];
    for (let i = 0; i <= rounds; i++) {
      let [begin, count] = [0, -1];
      for await (const _ of llm.generate(ids.slice(0, position), { maxTokens: 8, tokensPerSubmit: 1 }))
        if (++count === 0) begin = processCpu();
      if (i > 0) list.push((processCpu() - begin) / count);
    }
    times.push(median(list));
  }
  llm.destroy();
  // Least squares through all but the last.
  const xs = POSITIONS.slice(0, -1);
  const mean = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0) / list.length;
  const [mx, my] = [mean(xs), mean(times.slice(0, -1))];
  const slope = xs.reduce((sum, x, i) => sum + (x - mx) * (times[i]! - my), 0) / xs.reduce((sum, x) => sum + (x - mx) ** 2, 0);
  const expected = my + slope * (POSITIONS.at(-1)! - mx);
  const off = times.at(-1)! / expected - 1;
  return {
    what: 'time of a token at 4,096 / the line through 128 … 2,048, less 1',
    measured: spread([off]),
    floor: { atMost: 0.1 },
    how: `CPU time of 2 layers by position: ${POSITIONS.map((position, i) => `${position} ${ms(times[i]!)}`).join(', ')}`,
  };
}

/** What a load takes beside reading and packing its bytes, and what it holds. */
export async function load(device: GPUDevice, path: string, rounds: number): Promise<readonly Row[]> {
  const { config } = await openLanguageModel(path);
  const options = { context: 256, fused: fusesNorms(config, capsOf(device)) };
  const times = { all: [] as number[], pack: [] as number[] };
  const idle = (): Promise<unknown> => device.queue.onSubmittedWorkDone();
  let cache = 0;
  const whole = async (): Promise<void> => {
    const { wall } = await cost(async () => {
      const llm = await Llm.load(path, { device, context: 256 });
      await idle();
      const { memory } = llm.explain();
      cache = memory.cache;
      llm.destroy();
    });
    times.all.push(wall);
  };
  const pack = async (): Promise<void> => {
    const { wall } = await cost(async () => {
      const weights = await loadWeights(device, await openLanguageModel(new Uint8Array(readFileSync(path))), options);
      await idle();
      weights.destroy();
    });
    times.pack.push(wall);
  };
  await whole();
  await pack();
  for (const list of Object.values(times)) list.length = 0;
  await inTurns(rounds, [whole, pack]);
  const buffers = await heldAfterLoad(path);
  const size = statSync(path).size;
  return [
    {
      what: 'load / (reading and packing its bytes), wall',
      measured: spread(times.all.map((all, i) => all / times.pack[i]!)),
      floor: { atMost: 1.5 },
      how: `${ms(median(times.all))} and ${ms(median(times.pack))}, pipelines compiled before; ${rounds} rounds in turns`,
    },
    {
      what: 'GPU memory / (file + cache)',
      measured: spread([buffers / (size + cache)]),
      floor: { atMost: 1.07 },
      how: `the sum of all buffers after the load, ${(buffers / 2 ** 20).toFixed(1)} MiB of ${((size + cache) / 2 ** 20).toFixed(1)}`,
    },
  ];
}

/** The most memory of the process while a model of many layers loads: on a software adapter it is that of the host and of the GPU. */
export async function peak(device: GPUDevice, path: string, warm: string): Promise<readonly Row[]> {
  (await Llm.load(warm, { device, context: 256 })).destroy(); // compilers' memory is there before
  await device.queue.onSubmittedWorkDone();
  const before = process.memoryUsage().rss;
  let most = 0;
  const sample = (): void => {
    most = Math.max(most, process.memoryUsage().rss - before);
  };
  const timer = setInterval(sample, 2);
  const llm = await Llm.load(path, { device, context: 256, onProgress: sample });
  sample();
  clearInterval(timer);
  const { memory } = llm.explain();
  llm.destroy();
  const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
  return [
    {
      what: 'the most memory of a load, host and GPU / weights',
      measured: spread([most / memory.weights]),
      floor: { atMost: 1.1 },
      how: `${mib(most)} of the process beside ${mib(memory.weights)} of weights, 24 layers; a load holds up to 64 MiB of pieces, and 32 MiB in flight`,
    },
  ];
}

/** Bytes of the buffers that live after a load, on a device that counts them. */
async function heldAfterLoad(path: string): Promise<number> {
  const device = await requestDevice();
  let sum = 0;
  const create = device.createBuffer.bind(device);
  device.createBuffer = (descriptor) => {
    const buffer = create(descriptor);
    sum += descriptor.size;
    const destroy = buffer.destroy.bind(buffer);
    let live = true;
    buffer.destroy = () => {
      if (live) sum -= descriptor.size;
      live = false;
      return destroy();
    };
    return buffer;
  };
  const llm = await Llm.load(path, { device, context: 256 });
  const held = sum;
  llm.destroy();
  device.destroy();
  return held;
}
