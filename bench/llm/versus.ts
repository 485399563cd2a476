// Two speakers in turns: the ratio of their costs in the same round.
import { type Cost, cost, median, spread } from './clocks.js';
import type { Speaker } from './decode.js';
import type { Row } from './rows.js';

export interface Versus {
  readonly what: string;
  readonly ours: Speaker;
  readonly peer: Speaker;
  readonly rounds: number;
  /** Tokens of a prompt, or of an answer behind a prompt of 128. */
  readonly prompt?: number;
  readonly decode?: number;
  readonly clock: keyof Cost;
  readonly floor?: number;
  /** What they are called in the row. Default: ours and theirs. */
  readonly names?: readonly [ours: string, peer: string];
  /** Measures a run; default: this process. */
  readonly measure?: (run: () => Promise<unknown>) => Promise<Cost>;
}

const CLOCKS = { cpu: 'CPU time', wall: 'wall time' };

/** Their cost / ours: above 1, ours is the faster one. */
export async function versus({
  what,
  ours,
  peer,
  rounds,
  prompt,
  decode = 16,
  clock,
  floor,
  names = ['ours', 'theirs'],
  measure = cost,
}: Versus): Promise<Row> {
  const run = (one: Speaker): Promise<unknown> => (prompt ? one.prompt(prompt) : one.decode(1 + decode));
  const tokens = prompt ?? decode;
  for (const one of [ours, peer]) {
    await one.prompt(prompt ?? 128);
    await run(one);
  }
  const times = { ours: [] as number[], peer: [] as number[] };
  const timed = async (list: number[], one: Speaker): Promise<void> => {
    const whole = (await measure(() => run(one)))[clock];
    // What an answer begins with, a prompt that is looked up or computed again, is no decoding.
    const begin = prompt ? 0 : (await measure(() => one.decode(1)))[clock];
    list.push((whole - begin) / tokens);
  };
  for (let i = 0; i < rounds; i++) {
    if (i % 2) await timed(times.ours, ours);
    await timed(times.peer, peer);
    if (i % 2 === 0) await timed(times.ours, ours);
  }
  return {
    what,
    measured: spread(times.peer.map((theirs, i) => theirs / times.ours[i]!)),
    ...(floor !== undefined && { floor: { atLeast: floor } }),
    how: `${CLOCKS[clock]}: ${median(times.ours).toPrecision(3)} ms a token of ${names[0]}, ${median(times.peer).toPrecision(3)} ms of ${names[1]}; ${rounds} rounds in turns`,
  };
}
