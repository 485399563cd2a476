// The choice of tokens: equal to the CPU's, with the state that the host reads.
import { describe, expect, test } from 'vitest';
import { gumbel, hashOf, largest, noisy } from '../../src/llm-kernels/noise.js';
import { type Choosing, pickDispatch } from '../../src/llm-kernels/pick.js';
import { FLAGS, STATE, stateBytes } from '../../src/llm-kernels/state.js';
import { preprocess } from '../../src/wgsl/preprocess.js';
import { sources } from '../../src/wgsl/sources.js';
import { random } from '../cases/data.js';
import { gumbelBound, llmDevice, POISON, runLlm } from '../support/llm-kernels.js';

const device = await llmDevice();

const PLAIN: Choosing = { vocabulary: 8, context: 40, limit: 100, stops: [], temperature: 0, seed: 5 };
const bitsOf = (value: number): number => new Uint32Array(Float32Array.of(value).buffer)[0]!;

/** What a product leaves of logits: the best of every four columns, the lowest of several; NaN if one is. Behind the last there is poison. */
function bestOf(logits: ArrayLike<number>): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(4 * Math.ceil(logits.length / 8)).fill(POISON);
  for (let first = 0; first < logits.length; first += 4) {
    const four = Array.from({ length: Math.min(4, logits.length - first) }, (_, i) => logits[first + i]!);
    const at = largest(four) ?? four.findIndex(Number.isNaN);
    words.set([bitsOf(four[at]!), first + at], first / 2);
  }
  return words;
}
const padded = (logits: ArrayLike<number>): Float32Array<ArrayBuffer> => {
  const out = new Float32Array(4 * Math.ceil(logits.length / 4)).fill(NaN);
  out.set(Array.from(logits));
  return out;
};

/** A state with a count and poison in the ring and the list. */
function stateOf(context: number, count = 0): Uint32Array<ArrayBuffer> {
  const state = new Uint32Array(stateBytes(context) / 4).fill(POISON);
  state.set([count, 0, 0]);
  return state;
}

async function picked(how: Choosing, logits: ArrayLike<number>, { position = 3, rows = 1, running = 1, count = 0 } = {}) {
  const state = stateOf(how.context, count);
  const given = { state, ...(how.temperature > 0 ? { logits: padded(logits) } : { best: bestOf(logits) }) };
  const got = await runLlm(device, [pickDispatch(how)], { running, position, rows }, given);
  return { now: [...new Uint32Array(got.now!)], state: new Uint32Array(got.state!), before: state };
}

describe('the largest logit', () => {
  test.each([1, 2, 3, 4, 5, 7, 8, 9, 100, 1023, 2049, 152064])('of %i', async (vocabulary) => {
    const next = random(`largest ${vocabulary}`);
    for (const spread of [3, 1000]) {
      const logits = Float32Array.from({ length: vocabulary }, () => Math.floor(next() * spread) - spread / 2); // with many ties
      const { now, state, before } = await picked({ ...PLAIN, vocabulary }, logits, { position: 6, rows: 2, count: 70 });
      const id = largest(logits)!;
      before.set([71, 0, id]);
      before[STATE.ring + (70 % STATE.ringSize)] = id;
      before[STATE.list + 8] = id;
      expect(state).toEqual(before); // and nothing else changed
      expect(now).toEqual([1, 8, 1]);
    }
  });
  test.each([1, 3, 4, 9, 1023, 4097])('of %i, read from logits', async (vocabulary) => {
    const next = random(`from logits ${vocabulary}`);
    const logits = Float32Array.from({ length: vocabulary }, () => Math.floor(next() * 5) - 2); // with many ties
    for (const broken of [false, true]) {
      if (broken) logits[vocabulary - 1] = NaN;
      const how = { ...PLAIN, vocabulary };
      const given = { state: stateOf(how.context), logits: padded(logits) };
      const got = await runLlm(device, [pickDispatch(how, 'logits')], { running: 1, position: 3, rows: 1 }, given);
      const state = new Uint32Array(got.state!);
      if (broken) expect([state[STATE.count], state[STATE.flags]]).toEqual([0, FLAGS.notANumber]);
      else expect([state[STATE.count], state[STATE.flags], state[STATE.id]]).toEqual([1, 0, largest(logits)]);
    }
  });
  test('ids of padding are none', async () => {
    const logits = [1, 2, 0, -1, 9, 9, 9, 9, 9];
    const best = bestOf(logits);
    const state = stateOf(PLAIN.context);
    const wide = { ...pickDispatch({ ...PLAIN, vocabulary: 9 }), uniforms: pickDispatch({ ...PLAIN, vocabulary: 4 }).uniforms };
    const got = await runLlm(device, [wide], { running: 1, position: 0, rows: 1 }, { best, state });
    expect(new Uint32Array(got.state!)[STATE.id]).toBe(1);
  });
  test('-Infinity everywhere is a tie', async () => {
    const { state } = await picked(PLAIN, new Array(8).fill(-Infinity));
    expect([...state.subarray(0, 3)]).toEqual([1, 0, 0]);
  });
});

describe('the end', () => {
  const logits = [0, 1, 5, 2, 0, 0, 0, 0];
  test.each([
    ['a stop id', { stops: [7, 2] }, {}, FLAGS.stopped],
    ['the last of 16 stop ids', { stops: [...new Array(15).fill(4), 2] }, {}, FLAGS.stopped],
    ['stop ids that are others', { stops: [1, 3] }, {}, 0],
    ['the limit', { limit: 5 }, { count: 4 }, FLAGS.full],
    ['one before the limit', { limit: 6 }, { count: 4 }, 0],
    ['no more positions', { context: 10 }, { position: 9 }, FLAGS.full],
    ['one more position', { context: 11 }, { position: 9 }, 0],
    ['both', { limit: 1, stops: [2] }, {}, FLAGS.full + FLAGS.stopped],
  ] as const)('by %s', async (_, how, where, flags) => {
    const { now, state } = await picked({ ...PLAIN, ...how }, logits, where);
    const count = 'count' in where ? where.count : 0;
    const position = 'position' in where ? where.position : 3;
    expect([...state.subarray(0, 3)]).toEqual([count + 1, flags, 2]);
    expect(state[STATE.list + position + 1]).toBe(2);
    expect(now).toEqual([flags === 0 ? 1 : 0, position + 1, 1]);
  });
  test.each([0, 1])('by NaN, whichever id has it, at temperature %i: no id', async (temperature) => {
    for (const vocabulary of [1, 8, 300])
      for (const at of [0, vocabulary - 1, Math.floor(vocabulary / 2)]) {
        const logits = Float32Array.from({ length: vocabulary }, (_, i) => (i === at ? NaN : i));
        const { now, state, before } = await picked({ ...PLAIN, vocabulary, temperature }, logits);
        before[STATE.flags] = FLAGS.notANumber;
        expect(state).toEqual(before);
        expect(now).toEqual([0, 3, 1]);
      }
  });
  test.each([0, 1])('after it nothing is written, at temperature %i', async (temperature) => {
    const { now, state, before } = await picked({ ...PLAIN, temperature }, logits, { running: 0 });
    expect(state).toEqual(before);
    expect(now).toEqual([0, 3, 1]);
  });
});

/** Runs a text with the noise's functions for each of the inputs. */
async function evaluated(expression: string, inputs: Uint32Array<ArrayBuffer>, each: number): Promise<ArrayBuffer> {
  const count = inputs.length / each;
  const text = `#include "llm/noise.wgsl"
@group(0) @binding(0) var<storage, read> given: array<u32>;
@group(0) @binding(1) var<storage, read_write> out: array<u32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < ${count}u) { let i = id.x * ${each}u; out[id.x] = ${expression}; }
}`;
  const { code } = preprocess({ ...sources, 'test.wgsl': text }, 'test.wgsl', {});
  const compute = { module: device.createShaderModule({ code }), entryPoint: 'main' };
  const pipeline = device.createComputePipeline({ layout: 'auto', compute });
  const given = device.createBuffer({ size: inputs.byteLength, usage: 0x88 });
  device.queue.writeBuffer(given, 0, inputs);
  const out = device.createBuffer({ size: 4 * count, usage: 0x84 });
  const staging = device.createBuffer({ size: 4 * count, usage: 0x9 });
  const entries = [given, out].map((buffer, binding) => ({ binding, resource: { buffer } }));
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
  pass.dispatchWorkgroups(Math.ceil(count / 64));
  pass.end();
  encoder.copyBufferToBuffer(out, 0, staging, 0, 4 * count);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(1);
  return staging.getMappedRange().slice(0);
}

describe('noise', () => {
  test('hashes equal those of the CPU', async () => {
    const next = random('hashes');
    const inputs = Uint32Array.from({ length: 3 * 2000 }, (_, i) => (i < 300 ? i % 7 : Math.floor(next() * 2 ** 32)));
    const got = new Uint32Array(await evaluated('hash_of(given[i], given[i + 1u], given[i + 2u])', inputs, 3));
    expect(got).toEqual(Uint32Array.from({ length: 2000 }, (_, i) => hashOf(inputs[3 * i]!, inputs[3 * i + 1]!, inputs[3 * i + 2]!)));
  });
  test('is finite at both ends, and within the bound of log everywhere', async () => {
    const next = random('gumbel');
    const border = 2 ** 24; // v = 2⁻⁸
    const hashes = Uint32Array.from([
      ...Array.from({ length: 2 ** 12 }, (_, i) => i),
      ...Array.from({ length: 2 ** 12 }, (_, i) => 2 ** 32 - 1 - i),
      ...Array.from({ length: 2 ** 12 }, (_, i) => border - 2 ** 11 + i),
      ...Array.from({ length: 2 ** 13 }, () => Math.floor(next() * 2 ** 32)),
    ]);
    const got = new Float32Array(await evaluated('bitcast<u32>(gumbel(given[i]))', hashes, 1));
    expect(got.every(Number.isFinite)).toBe(true);
    const faults = [...hashes].filter((hash, i) => !(Math.abs(got[i]! - gumbel(hash)) <= gumbelBound(hash)));
    expect(faults.map((hash) => `${hash}: ${got[hashes.indexOf(hash)]}, not ${gumbel(hash)} ± ${gumbelBound(hash)}`).slice(0, 5)).toEqual(
      [],
    );
  });
  test.each([1, 2, 5, 50, 1021, 32000])('of %i ids draws the CPU’s, or one that is as good within the bound', async (vocabulary) => {
    const next = random(`draw ${vocabulary}`);
    let equal = 0;
    for (let i = 0; i < 8; i++) {
      const logits = Float32Array.from({ length: vocabulary }, () => 4 * (next() + next() - 1));
      const temperature = [1, 0.3, 2, 0.01][i % 4]!;
      const seed = Math.floor(next() * 2 ** 32);
      const [position, rows] = [i, 1 + (i % 3)];
      const { state, now } = await picked({ ...PLAIN, vocabulary, temperature, seed }, logits, { position, rows });
      expect(now).toEqual([1, position + rows, 1]);
      const draw = { temperature, seed, position: position + rows };
      const values = noisy(logits, draw);
      const bound = (id: number) =>
        gumbelBound(hashOf(seed, draw.position, id)) + (4 * Math.abs(logits[id]! / temperature) + 2 * Math.abs(values[id]!)) * 2 ** -24;
      const [id, best] = [state[STATE.id]!, largest(values)!];
      if (id === best) equal++;
      expect(values[best]! - values[id]!, `${id}, not ${best}`).toBeLessThanOrEqual(id === best ? 0 : bound(id) + bound(best));
    }
    expect(equal).toBeGreaterThanOrEqual(7);
  });
});
