// The jobs of the panel "shader": a plan for a choice, a variant's text and what wgsl_reflect reads in it, and how long it compiles.

import { capsOf } from '../../../../src/gpu/device.js';
import { findingsOf } from '../../../../src/gpu/device-findings.js';
import type { Caps } from '../../../../src/problem/caps.js';
import type { Job, JobContext } from '../../../worker/rpc.js';
import { type Compiled, compile } from './compile.js';
import { type Planned, planChoice, type ShaderChoice } from './plan.js';
import { type Reflection, reflect, type ShaderText, textOf, type Variant } from './text.js';

export interface PlanArgs {
  readonly choice: ShaderChoice;
  /** Of another device; without them, this one's, with what has been found out about it. */
  readonly caps?: Caps;
}

/** The device that was lent last, while it lives. Planning only reads what is known of it, so it need not wait for its turn each time. */
let last: GPUDevice | undefined;
async function lent(context: JobContext): Promise<GPUDevice> {
  context.progress(undefined, 'Waiting for the GPU, which other work may have');
  const device = await context.device();
  if (last !== device) {
    last = device;
    device.lost.then(() => {
      if (last === device) last = undefined;
    });
  }
  return device;
}

export const jobs = {
  plan: async ({ choice, caps }: PlanArgs, context: JobContext): Promise<Planned> => {
    if (caps) return planChoice(choice, caps);
    const device = last ?? (await lent(context));
    const { disabled, tuned } = findingsOf(device);
    return planChoice(choice, capsOf(device), { disabled, tuned });
  },
  text: async (variant: Variant): Promise<ShaderText> => textOf(variant),
  reflect: async (variant: Variant): Promise<Reflection> => reflect(variant),
  compile: async (variant: Variant, context: JobContext): Promise<Compiled> => compile(await lent(context), variant, context),
} as const satisfies Record<string, Job>;
