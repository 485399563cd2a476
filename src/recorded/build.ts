// Checked steps → lists of pipelines, bind groups and grids, one for each number of rows, with buffers of their own.
import { ArgumentError } from '../errors.js';
import { BUFFER, makeBuffers } from '../gpu/buffers.js';
import { findingsOf } from '../gpu/device-findings.js';
import { ends } from '../gpu/ends.js';
import { allTaken, guarded, quiet, type Taken } from '../gpu/guard.js';
import { pipelineErrors, pipelineOf } from '../gpu/pipeline.js';
import { record } from '../gpu/recording.js';
import { selfTested } from '../gpu/self-test.js';
import { variantId } from '../kernels/kernel.js';
import type { LoadedWeights } from '../layer/loaded-weights.js';
import type { Plan } from '../plan/plan.js';
import type { CheckedStep, OwnDispatch, Part, Planned } from './kinds.js';

/** A dispatch, as `replay` encodes it. */
export interface Entry {
  /** Undefined: that of the entry before. */
  readonly pipeline: GPUComputePipeline | undefined;
  readonly bindGroups: readonly GPUBindGroup[];
  readonly x: number;
  readonly y: number;
  readonly z: number;
  /** Of the list of steps, the one that makes it. */
  readonly step: number;
}

/** What a number of rows replays. */
export interface Sequence {
  readonly entries: readonly Entry[];
  readonly encoded: readonly ((work: Taken) => void)[];
}

/** GPU objects of a recording, and what they were made for. */
export interface Built {
  /** By number of rows; undefined for tensors as they are. */
  readonly sequences: ReadonlyMap<number | undefined, Sequence>;
  readonly scratch: ReadonlyMap<string, GPUBuffer>;
  readonly uniforms: GPUBuffer;
  /** Rejects if the weights, a shader, its self-test, its memory or its bindings failed. */
  readonly sound: Taken;
  /** Weights of the steps' owners. */
  readonly weights: readonly (LoadedWeights | undefined)[];
  /** `changes` of the device's findings at planning. */
  readonly changes: number;
  /** `ends.count` when it was last seen to stand. */
  ends: number;
  failed: boolean;
}

/** Errors of a step's arguments name the step: `steps[2].y`. */
export function inStep<T>(i: number, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof ArgumentError ? new ArgumentError(`steps[${i}].${error.argument}`, error.expected, error.got) : error;
  }
}

const isOwn = (part: Part): part is OwnDispatch => 'pipeline' in part;

export const weightsNow = (steps: readonly CheckedStep[]): readonly (LoadedWeights | undefined)[] =>
  steps.flatMap(({ owners }) => owners.map(({ current }) => current));

/**
 * Plans and records all steps for each number of rows.
 * @param kept scratch buffers of an earlier build, which are used again where they are large enough
 * @throws ArgumentError, UnsupportedError, ShaderError, DeviceLostError
 */
export function build(
  device: GPUDevice,
  steps: readonly CheckedStep[],
  { rows, kept }: { readonly rows: readonly (number | undefined)[]; readonly kept?: ReadonlyMap<string, GPUBuffer> | undefined },
): Built {
  const { changes } = findingsOf(device);
  const weights = weightsNow(steps);
  const parts = rows.map((count) => {
    const cut = { rows: count, sorted: new Map() };
    return steps.flatMap((step, i) => inStep(i, () => step.parts(cut)).map((part) => ({ part, step: i })));
  });
  const planned = parts.flat().flatMap(({ part }) => (isOwn(part) ? [] : [part]));
  const bound = planned.flatMap(({ dispatches, buffer }) => dispatches.map((dispatch) => ({ dispatch, buffer })));
  const dispatches = bound.map(({ dispatch }) => dispatch);
  for (const one of dispatches) pipelineOf(device, one); // throws, before anything is allocated, if one is known not to compile
  const { result, errors } = guarded(device, 'recorded steps', () => {
    const fresh = makeBuffers(
      device,
      [...scratchSizes(planned)]
        .filter(([role, size]) => (kept?.get(role)?.size ?? 0) < size)
        .map(([role, size]) => [role, { label: `recorded ${role}`, usage: BUFFER.scratch, size }]),
    );
    const scratch = new Map([...(kept ?? []), ...fresh]);
    try {
      return { scratch, recording: record(device, dispatches, (role, i) => bound[i]!.buffer(role) ?? scratch.get(role)!) };
    } catch (error) {
      for (const buffer of fresh.values()) buffer.destroy();
      throw error;
    }
  });
  const { scratch, recording } = result;
  const made = recording.dispatches.map(({ pipeline, bindGroup, workgroups }) => ({ pipeline, bindGroups: [bindGroup], workgroups }));
  let next = 0;
  const sequences = new Map(
    parts.map((list, at): readonly [number | undefined, Sequence] => {
      const own = list.flatMap(({ part, step }) =>
        (isOwn(part) ? [part] : made.slice(next, (next += part.dispatches.length))).map((dispatch) => ({ ...dispatch, step })),
      );
      return [rows[at], { entries: entriesOf(own), encoded: list.flatMap(({ part }) => (isOwn(part) ? [] : (part.encoded ?? []))) }];
    }),
  );
  const own = planned.map(({ sound }) => sound?.());
  const sound = allTaken(...loadsOf(planned), ...own, quiet(pipelineErrors(device, dispatches)), ...testsOf(device, planned), errors);
  const built: Built = { sequences, scratch, uniforms: recording.uniforms, sound, weights, changes, ends: ends.count, failed: false };
  sound.catch(() => {
    built.failed = true;
  });
  return built;
}

/** Dispatches run in order, so steps and sequences share a scratch buffer of the largest size. */
function scratchSizes(planned: readonly Planned[]): ReadonlyMap<string, number> {
  const sizes = new Map<string, number>();
  for (const { scratch } of planned)
    for (const [role, size] of Object.entries(scratch)) sizes.set(role, Math.max(size, sizes.get(role) ?? 0));
  return sizes;
}

const entriesOf = (dispatches: readonly (OwnDispatch & Pick<Entry, 'step'>)[]): readonly Entry[] =>
  dispatches.map(({ pipeline, bindGroups, workgroups: [x, y = 1, z = 1], step }, i) => {
    const again = i > 0 && dispatches[i - 1]!.pipeline === pipeline;
    return { pipeline: again ? undefined : pipeline, bindGroups, x: x!, y, z, step };
  });

const loadsOf = (planned: readonly Planned[]): readonly Taken[] => [
  ...new Set(planned.flatMap(({ product }) => product?.loaded.done ?? [])),
];

function testsOf(device: GPUDevice, planned: readonly Planned[]): readonly Taken[] {
  const tested = planned.flatMap(({ product }) => (product?.loaded.settings.selfTest ? [product.plan] : []));
  const byVariant = new Map(tested.map((plan): readonly [string, Plan] => [variantId(plan.kernel, plan.params), plan]));
  return [...byVariant.values()].map((plan) => quiet(selfTested(device, plan)));
}
