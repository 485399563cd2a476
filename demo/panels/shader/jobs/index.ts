// The jobs of the panel "What runs": plan a choice, read a variant's text with wgsl_reflect, and measure its compilation.

import { capsOf } from '../../../../src/gpu/device.js';
import { findingsOf } from '../../../../src/gpu/device-findings.js';
import type { Caps } from '../../../../src/problem/caps.js';
import type { Job, JobContext } from '../../../worker/rpc.js';
import { type Compiled, compile } from './compile.js';
import { type Planned, planChoice, type ShaderChoice } from './plan.js';
import { type Reflection, reflect, type ShaderText, textOf, type Variant } from './text.js';

export interface PlanArgs {
  readonly choice: ShaderChoice;
  /** Caps of another device. Without them, those of this device, with its findings. */
  readonly caps?: Caps;
}

/** The device of the last job, while it lives. Planning only reads its caps and findings, so it does not wait for its turn. */
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
  text: (variant: Variant): Promise<ShaderText> => textOf(variant),
  reflect: async (variant: Variant): Promise<Reflection> => reflect(variant),
  compile: async (variant: Variant, context: JobContext): Promise<Compiled> => compile(await lent(context), variant, context),
} as const satisfies Record<string, Job>;
