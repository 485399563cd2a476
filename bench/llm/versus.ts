// Two speakers in turns: the ratio of their costs in the same round.
import { type Cost, cost, median, spread } from './clocks.js';
import type { Speaker } from './decode.js';
import type { Row } from './rows.js';

/** A row of the table: whose clock, and what their cost / ours should be. */
export interface Held {
  readonly what: string;
  readonly clock: keyof Cost;
  readonly floor?: number;
}

export interface Versus {
  /** All of the same runs. */
  readonly rows: readonly Held[];
  readonly ours: Speaker;
  readonly peer: Speaker;
  readonly rounds: number;
  /** Tokens of a prompt, or of an answer behind a prompt of `behind` (128). */
  readonly prompt?: number;
  readonly decode?: number;
  readonly behind?: number;
  /** What they are called in the rows. Default: ours and theirs. */
  readonly names?: readonly [ours: string, peer: string];
  /** Measures a run; default: this process. */
  readonly measure?: (run: () => Promise<unknown>) => Promise<Cost>;
}

const CLOCKS = { cpu: 'CPU time', wall: 'wall time' };

/** Their cost / ours: above 1, ours is the faster one. */
export async function versus({
  rows,
  ours,
  peer,
  rounds,
  prompt,
  decode = 16,
  behind = 128,
  names = ['ours', 'theirs'],
  measure = cost,
}: Versus): Promise<Row[]> {
  const run = (one: Speaker): Promise<unknown> => (prompt ? one.prompt(prompt) : one.decode(1 + decode));
  const tokens = prompt ?? decode;
  for (const one of [ours, peer]) {
    await one.prompt(prompt ?? behind);
    await run(one);
  }
  const times = { ours: [] as Cost[], peer: [] as Cost[] };
  const timed = async (list: Cost[], one: Speaker): Promise<void> => {
    const whole = await measure(() => run(one));
    // What an answer begins with, a prompt that is looked up or computed again, is no decoding.
    const begin = prompt ? { wall: 0, cpu: 0 } : await measure(() => one.decode(1));
    list.push({ wall: (whole.wall - begin.wall) / tokens, cpu: (whole.cpu - begin.cpu) / tokens });
  };
  for (let i = 0; i < rounds; i++) {
    if (i % 2) await timed(times.ours, ours);
    await timed(times.peer, peer);
    if (i % 2 === 0) await timed(times.ours, ours);
  }
  return rows.map(({ what, clock, floor }) => {
    const ms = (list: readonly Cost[]): string => `${median(list.map((one) => one[clock])).toPrecision(3)} ms`;
    return {
      what,
      measured: spread(times.peer.map((theirs, i) => theirs[clock] / times.ours[i]![clock])),
      ...(floor !== undefined && { floor: { atLeast: floor } }),
      how: `${CLOCKS[clock]}: ${ms(times.ours)} a token of ${names[0]}, ${ms(times.peer)} of ${names[1]}; ${rounds} rounds in turns`,
    };
  });
}
