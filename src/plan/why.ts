// Verdicts and asides of a plan as sentences for people. Programs take the data.
import type { Plan } from './plan.js';

/** Why this kernel; what stands around it; and why none of the kernels that were asked before it. */
export function whyOf({ verdicts, asides }: Pick<Plan, 'verdicts' | 'asides'>): string[] {
  const { kernel, verdict, reason } = verdicts.at(-1)!;
  return [
    `${kernel}: ${verdict === 'tuned' ? 'tuned: ' : ''}${reason}`,
    ...asides.map((aside) => `${aside.shader} ${aside.shader === 'gather-rows' ? 'first' : 'last'}: ${aside.reason}`),
    ...verdicts.slice(0, -1).map((one) => `not ${one.kernel}: ${one.reason}`),
  ];
}
