// Steps of a plan, which name weights and buffers → recorded steps of the operator.
import { BUFFER, makeBuffer } from '../gpu/buffers.js';
import { pipelineOf } from '../gpu/pipeline.js';
import type { Tensor } from '../gpu/tensor.js';
import type { LinearWeightQuant } from '../layer/linear-weight-quant.js';
import type { QuantizedRows } from '../layer/quantize-x.js';
import { type LlmDispatch, STEP_BYTES } from '../llm-kernels/shaders.js';
import { prepareSteps } from '../recorded/prepare-steps.js';
import { type Recorded, recordSteps } from '../recorded/record-steps.js';
import type { Step } from '../recorded/steps.js';
import { type Codes, inputsOf } from './integers.js';
import type { PlanStep } from './step-plan.js';
import type { Tensors } from './tensors.js';
import type { ModelWeights } from './weights.js';

/** Steps that a pass replays, and the buffers of their own uniforms. */
export interface Bound {
  readonly recorded: Recorded;
  readonly uniforms: readonly GPUBuffer[];
}

export function free({ recorded, uniforms }: Bound): void {
  recorded.destroy();
  for (const buffer of uniforms) buffer.destroy();
}

/** What the names of a plan stand for. */
export interface Names {
  readonly tensors: Tensors;
  readonly weights: ModelWeights;
  readonly buffers: ReadonlyMap<string, GPUBuffer>;
  /** ε of the norms. */
  readonly epsilon: number;
  /** Of rows that are multiplied as integers. */
  readonly codes?: Codes | undefined;
}

/** A step of the operator's own kernels. */
type OfOperator = Exclude<PlanStep, { readonly dispatch: unknown }>;

function ofOperator(
  step: OfOperator,
  { tensors: { byName, columns, pairs }, weights, epsilon, codes }: Names,
  rows?: number,
): readonly Step[] {
  const x = byName.get('x')!;
  // Ids are checked on the host, or chosen among the rows.
  if ('gather' in step) return [{ gather: weights.embedding, ids: byName.get(step.ids)!, y: x, counted: false }];
  if ('sort' in step) return [{ sort: pairs! }];
  if ('experts' in step) {
    const { summed, twin } = step;
    const y = byName.get(step.y)!;
    const ofRows = summed && { weights: byName.get('expertWeights')!, add: y, ...(twin && { twin: byName.get('twin')! }) };
    return [{ experts: weights.experts.get(step.experts)!, x: byName.get(step.x)!, y, sorted: pairs!, ...ofRows }];
  }
  const layers = weights.products.get(step.product)!;
  const rowScale = step.scaled && { rms: x, epsilon };
  const [input, y] = [byName.get(step.x)!, byName.get(step.y)!];
  const twin = step.twin && { twin: byName.get('twin')! };
  const product = (of: readonly LinearWeightQuant[], from: Tensor | QuantizedRows): Step =>
    step.y === 'gateAndUp' || (step.y === 'qkv' && layers.length > 1)
      ? { layers: of, x: from, ys: of.map((layer) => columns[step.y as 'qkv' | 'gateAndUp'][layers.indexOf(layer)]!), rowScale }
      : { layer: of[0]!, x: from, y, rowScale, ...(step.add && { add: y }), ...twin };
  if (!codes || !step.integers) return [product(layers, input)];
  const inputs = inputsOf(layers, { codes, read: step.x, x: input, rows: rows! });
  return [...inputs].flatMap(([from, of]) => [...('codes' in from ? [{ quantize: from }] : []), product(of, from)]);
}

/** Compiles and tests what `bindSteps` takes of the operator, all at once. @throws UnsupportedError, DeviceLostError */
export async function prepareOperator(plan: readonly PlanStep[], names: Names, rows?: number): Promise<void> {
  const steps = plan.flatMap((step) => ('dispatch' in step ? [] : ofOperator(step, names, rows)));
  await prepareSteps(names.tensors.device, steps, rows);
}

/** @param rows of a prompt; undefined: one token. @throws UnsupportedError, ShaderError, DeviceLostError */
export function bindSteps(plan: readonly PlanStep[], names: Names, rows?: number): Bound {
  const { tensors, buffers } = names;
  const { device, byName } = tensors;
  const uniforms: GPUBuffer[] = [];
  const x = byName.get('x')!;
  const stepsOf = (step: PlanStep): Step | readonly Step[] => {
    if (!('dispatch' in step)) return ofOperator(step, names, rows);
    const { dispatch } = step;
    const params = makeBuffer(device, { label: 'llm params', usage: BUFFER.uniforms, data: new Uint8Array(dispatch.uniforms) });
    uniforms.push(params);
    return bindDispatch(device, dispatch, params, (name) => (name === 'x' ? x.buffer : buffers.get(step.buffers[name] ?? name)!));
  };
  try {
    return { recorded: recordSteps(device, plan.flatMap(stepsOf), rows === undefined ? {} : { rows: [rows] }), uniforms };
  } catch (error) {
    for (const buffer of uniforms) buffer.destroy();
    throw error;
  }
}

/** A step that is a dispatch of its own. */
interface Bindable {
  readonly pipeline: GPUComputePipeline;
  readonly bindGroups: readonly GPUBindGroup[];
  readonly workgroups: LlmDispatch['workgroups'];
}

/** A dispatch of shaders/llm. @param buffer of each binding but `params` */
export function bindDispatch(
  device: GPUDevice,
  { shader, params, workgroups, uniforms }: LlmDispatch,
  own: GPUBuffer,
  buffer: (name: string) => GPUBuffer,
): Bindable {
  const pipeline = pipelineOf(device, { shader: shader.name, params });
  const entries = shader.bindings
    .filter(({ when }) => when?.(params) ?? true)
    .map(({ name, binding }): GPUBindGroupEntry => {
      if (name === 'params') return { binding, resource: { buffer: own, size: uniforms.byteLength } };
      return { binding, resource: { buffer: buffer(name), ...(name === 'now' && { size: STEP_BYTES }) } };
    });
  const bindGroup = device.createBindGroup({ label: shader.name, layout: pipeline.getBindGroupLayout(0), entries });
  return { pipeline, bindGroups: [bindGroup], workgroups };
}
