// Which choices of an id are right within the roundings of a device, and many draws at once. Holds no test.
import { BUFFER, makeBuffer } from '../../src/gpu/buffers.js';
import { variantText } from '../../src/gpu/pipeline.js';
import { hashOf } from '../../src/llm-kernels/noise.js';
import { type Choosing, pickDispatch } from '../../src/llm-kernels/pick.js';
import { adjusted, type Choice, choiceOf, cuts, distance, goalOf, valuesOf, weightOf } from '../../src/llm-kernels/sampling.js';
import { type LlmDispatch, stepWords } from '../../src/llm-kernels/shaders.js';
import { STATE, stateBytes } from '../../src/llm-kernels/state.js';
import { gumbelBound } from './llm-kernels.js';

const U = 2 ** -24;

/** How far the kernels' sum of weights up to an id may be from the CPU's: exp is good to 3 + 2 |x| ULP. In 2⁻⁴⁰. */
const weightBound = (x: number, weight: number): number => weight * (4 + 2 * Math.abs(x)) * 2 * U + 1;

/** For each id: does top-p keep it whatever exp rounds to, and may it at all? */
function keptByP(
  z: Float32Array,
  among: readonly number[],
  { topP = 1, temperature }: Choice,
): { sure: Set<number>; possible: Set<number> } {
  const sorted = [...among].sort((a, b) => z[b]! - z[a]!);
  const top = z[sorted[0]!]!;
  const weights = sorted.map((id) => weightOf(Math.max(-100, distance(z[id]!, top, temperature))));
  const bounds = sorted.map((id, i) => weightBound(Math.max(-100, distance(z[id]!, top, temperature)), weights[i]!));
  const all = weights.reduce((sum, weight) => sum + BigInt(weight), 0n);
  const goal = topP < 1 ? Number(goalOf(all, topP)) : Infinity;
  const goalBound = topP < 1 ? bounds.reduce((a, b) => a + b, 0) + goal * 2 ** -50 + 2 : 0;
  const [sure, possible] = [new Set<number>(), new Set<number>()];
  let [above, bound, begin] = [0, 0, 0];
  for (let i = 0; i < sorted.length; i++) {
    if (i > 0 && z[sorted[i]!] !== z[sorted[i - 1]!])
      for (; begin < i; begin++) [above, bound] = [above + weights[begin]!, bound + bounds[begin]! + above * 2 ** -52];
    if (above + bound < goal - goalBound || above === 0) sure.add(sorted[i]!);
    if (above - bound < goal + goalBound) possible.add(sorted[i]!);
  }
  return { sure, possible };
}

/** Why an id that a device chose is wrong; undefined if it is right. Bias and penalties must be exact in float32. */
export function choiceFault(logits: ArrayLike<number>, how: Choice, id: number): string | undefined {
  const want = choiceOf(logits, how);
  if (id === want) return undefined;
  if (want === undefined || how.temperature === 0) return `${id}, not ${want}`;
  const values = valuesOf(logits, how)!;
  const z = adjusted(logits, how, how.counts);
  const ids = [...values.keys()].filter((at) => how.bias?.[at] !== -Infinity);
  const k = how.topK !== undefined && how.topK < ids.length ? how.topK : ids.length;
  const least = [...z].filter((_, at) => how.bias?.[at] !== -Infinity).sort((a, b) => b - a)[k - 1]!;
  const { sure, possible } = keptByP(
    z,
    ids.filter((at) => z[at]! >= least),
    how,
  );
  // Of ids that are not cut by more than a rounding the values are as they would be without top-p.
  const whole = valuesOf(logits, {
    ...how,
    topP: 1,
    ...(cuts({ ...how, topP: 1 }, logits.length) ? {} : { topK: logits.length, minP: 2 ** -140 }),
  })!;
  const relative = cuts(how, logits.length);
  const bound = (at: number): number =>
    gumbelBound(hashOf(how.seed, how.position, at)) +
    ((relative ? 0 : 4 * Math.abs(z[at]! / how.temperature)) + 2 * Math.abs((relative ? whole : values)[at]!)) * U;
  const compared = relative ? whole : values;
  if (!possible.has(id) || compared[id] === -Infinity) return `${id} is cut; the CPU chose ${want}`;
  let best: number | undefined;
  for (const at of sure) if (compared[at]! > -Infinity && (best === undefined || compared[at]! > compared[best]!)) best = at;
  const margin = best === undefined ? 0 : compared[best]! - compared[id]!;
  return margin <= bound(id) + bound(best ?? id) ? undefined : `${id} is ${margin} below ${best}; the CPU chose ${want}`;
}

/** Draws of a dispatch. */
const EACH = 1000;
const MAIN = `@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {`;
const LOOP = `
${MAIN}
  for (var i = 0u; i < params.context; i++) {
    once(lane);
    storageBarrier(); // where the sequence stands is there before the next draw reads it
    workgroupBarrier();
  }
}`;

/** The pipeline of a variant of pick that draws many times in a dispatch. */
function looped(device: GPUDevice, { shader, params }: LlmDispatch): GPUComputePipeline {
  const { code } = variantText({ shader: shader.name, params });
  if (!code.includes(MAIN)) throw new Error('pick has another main');
  const text = code.replace(MAIN, 'fn once(lane: u32) {').replaceAll('params.context', 'params.limit') + LOOP;
  return device.createComputePipeline({
    layout: 'auto',
    compute: { module: device.createShaderModule({ code: text }), entryPoint: 'main' },
  });
}

/** Draws one id after the other from the same logits, at positions from 0 on; a multiple of 1,000. */
export async function drawn(
  device: GPUDevice,
  how: Choosing,
  logits: Float32Array<ArrayBuffer>,
  bias?: Float32Array<ArrayBuffer>,
): Promise<Uint32Array> {
  const count = how.limit;
  const sized = pickDispatch({ ...how, context: count });
  const dispatch = { ...pickDispatch({ ...how, context: EACH }), bytes: sized.bytes };
  const pipeline = looped(device, dispatch);
  const fill = (name: string, size: number, data?: ArrayBufferView<ArrayBuffer>): GPUBuffer => {
    const words = new Uint32Array(size / 4);
    if (data) words.set(new Uint32Array(data.buffer, data.byteOffset, data.byteLength / 4));
    return makeBuffer(device, { label: name, usage: BUFFER.output, data: words });
  };
  const data: Readonly<Record<string, ArrayBufferView<ArrayBuffer> | undefined>> = { logits, bias };
  const buffers = new Map(Object.entries(dispatch.bytes).map(([name, size]) => [name, fill(name, size, data[name])]));
  buffers.set('now', fill('now', 12, stepWords({ running: 1, position: 0, rows: 0 })));
  buffers.set('params', makeBuffer(device, { label: 'params', usage: BUFFER.uniforms, data: new Uint32Array(dispatch.uniforms) }));
  const entries = dispatch.shader.bindings
    .filter(({ when }) => when?.(dispatch.params) ?? true)
    .map(({ name, binding }) => ({ binding, resource: { buffer: buffers.get(name)! } }));
  const group = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
  for (let done = 0; done < count; ) {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    for (const end = Math.min(count, done + 10 * EACH); done < end; done += EACH) pass.dispatchWorkgroups(1);
    pass.end();
    device.queue.submit([encoder.finish()]);
    await device.queue.onSubmittedWorkDone();
  }
  const staging = device.createBuffer({ size: stateBytes(count), usage: 0x9 /* MAP_READ | COPY_DST */ });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffers.get('state')!, 0, staging, 0, staging.size);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(1 /* READ */);
  const state = new Uint32Array(staging.getMappedRange().slice(0));
  staging.destroy();
  for (const buffer of buffers.values()) buffer.destroy();
  if (state[STATE.count] !== count) throw new Error(`${state[STATE.count]} ids were drawn, not ${count}`);
  return state.subarray(STATE.list, STATE.list + count);
}
