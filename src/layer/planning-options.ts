// A layer's settings of planning, for tests and comparisons.
import { anything, type Check, dictionary, fields, finiteNumber, flag, onlyFields, optional, text } from '../arguments/check.js';
import { capsOf } from '../gpu/device.js';
import type { Force } from '../plan/choose.js';
import type { Caps } from '../problem/caps.js';
import type { PlanSettings } from './loaded-weights.js';

/** Settings of planning, for tests, benches and comparisons. */
export interface PlanningOptions {
  /** Use this kernel, before the planner's and any measured choice. For tests, benches and comparisons. */
  readonly force?: Force | undefined;
  /** Overrides of the device's caps, to do without an ability. */
  readonly caps?: Partial<Caps>;
  /** Test each variant of a kernel once on each device before its results count; default true, false with a `force`. */
  readonly selfTest?: boolean;
}

const PLAN = onlyFields({
  force: optional(fields({ kernel: text, tile: optional(dictionary(finiteNumber)) })),
  caps: anything,
  selfTest: optional(flag),
}) as Check<PlanningOptions>;

/** @throws ArgumentError */
export function checkPlan(asked: unknown): PlanningOptions {
  return optional(PLAN)(asked, 'plan') ?? {};
}

/** The settings on a device. */
export const settingsOf = (device: GPUDevice, { force, caps, selfTest = force === undefined }: PlanningOptions): PlanSettings => ({
  caps: capsOf(device, caps),
  force,
  selfTest,
});
