// Turns a plan's verdicts and asides into sentences for people. Programs read the data.
import type { Plan } from './plan.js';

/** Why this kernel runs, which helpers run around it, and why kernels asked before it do not run. */
export function whyOf({ verdicts, asides }: Pick<Plan, 'verdicts' | 'asides'>): string[] {
  const { kernel, verdict, reason } = verdicts.at(-1)!;
  return [
    `${kernel}: ${verdict === 'tuned' ? 'tuned: ' : ''}${reason}`,
    ...asides.map((aside) => `${aside.shader} ${aside.shader === 'gather-rows' ? 'first' : 'last'}: ${aside.reason}`),
    ...verdicts.slice(0, -1).map((one) => `not ${one.kernel}: ${one.reason}`),
  ];
}
