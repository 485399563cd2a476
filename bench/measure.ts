// Measures one cell: prepares, checks and calibrates contenders, then times them in turns. It does not depend on their computation.
import type { Contender, Run } from './contender.js';
import type { Family, Timing } from './results.js';

export interface Pace {
  readonly rounds: number;
  /** Milliseconds of a sample. */
  readonly sample: number;
}

/** A contender that is slower than the fastest of its kind by this factor in the warm-up is timed once and left out of the rounds. */
const HOPELESS = 2;
const MOST_CALLS = 4000;
const FEW = 3;
/** A call that takes this many samples is not tried twice. */
const LONG = 8;
/** Approximate share of preparing in a cell's time. */
const PREPARING = 0.5;

interface Ready {
  readonly contender: Contender;
  readonly run: Run;
  count: number;
  /** Milliseconds a call in the warm-up. */
  readonly warm: number;
  readonly verdict: Verdict;
}
export interface Verdict {
  readonly error?: number;
  readonly wrong?: string;
}

async function timed(run: Run, count: number): Promise<number> {
  const start = performance.now();
  await run.call(count);
  const each = (performance.now() - start) / count;
  if (run.settle) await new Promise((then) => setTimeout(then, run.settle));
  return each;
}

/**
 * Finds the number of calls that fill a sample; the last try is the warm-up. One try can be slow by accident, so the faster of two counts.
 * A first call that took far longer than a sample, compiling included, is enough of a warm-up.
 */
async function calibrate(run: Run, sample: number, first: number): Promise<{ readonly count: number; readonly warm: number }> {
  if (first > 2 * LONG * sample) return { count: 1, warm: first };
  for (let count = 1; ; ) {
    let warm = await timed(run, count);
    if (warm * count < LONG * sample) warm = Math.min(warm, await timed(run, count));
    const lasted = warm * count;
    if (lasted >= 0.7 * sample || count === MOST_CALLS) return { count, warm };
    count = Math.min(MOST_CALLS, Math.max(count + 1, Math.ceil(count * Math.min(10, sample / lasted))));
  }
}

export interface CellOptions {
  readonly m: number;
  readonly pace: Pace;
  readonly judge: (family: Family, y: ArrayLike<number>) => Verdict;
  readonly signal: AbortSignal;
  /** Receives the current step and the cell's progress from 0 to 1. */
  readonly say: (text: string, share: number) => void;
  /** Receives the reason why a contender does not take part. */
  readonly note: (text: string) => void;
  readonly inScope: <T>(work: () => Promise<T>) => Promise<T>;
}

export async function measureCell(contenders: readonly Contender[], o: CellOptions): Promise<Timing[]> {
  const ready: Ready[] = [];
  try {
    for (const [i, contender] of contenders.entries()) {
      o.signal.throwIfAborted();
      o.say(contender.name, (PREPARING * i) / contenders.length);
      let run: Run | string;
      try {
        let first = 0;
        run = await o.inScope(async () => {
          const made = await contender.prepare(o.m);
          if (typeof made !== 'string') first = await timed(made, 1); // compiles what is compiled late
          return made;
        });
        if (typeof run === 'string') continue;
        const verdict = run.read ? o.judge(contender.family, await run.read()) : {};
        const { count, warm } = await calibrate(run, o.pace.sample, first);
        ready.push({ contender, run, count, warm, verdict });
      } catch (error) {
        o.signal.throwIfAborted();
        o.note(`${contender.name}: ${(error as Error).message}`);
      }
    }
    return await rounds(ready, o);
  } finally {
    for (const { run } of ready) run.free();
  }
}

async function rounds(ready: readonly Ready[], o: CellOptions): Promise<Timing[]> {
  const fastest = (family: Family): number =>
    Math.min(...ready.filter((r) => r.contender.family === family && !r.verdict.wrong).map(({ warm }) => warm));
  const dropped = (r: Ready): string | undefined => {
    if (r.contender.family === 'ours') return undefined;
    if (r.verdict.wrong) return 'wrong';
    const factor = r.warm / fastest(r.contender.family);
    return factor > HOPELESS ? `${factor.toFixed(1)} times slower than another in the warm-up` : undefined;
  };
  const taking = ready.filter((r) => !dropped(r));
  // Few calls: a slow product, or two slow accidents in the warm-up. Such samples would be mostly waiting.
  for (const r of taking) {
    if (r.count > FEW || r.warm > LONG * o.pace.sample) continue;
    r.count = (await calibrate(r.run, o.pace.sample, 0)).count;
  }
  const samples = new Map(ready.map((r): [Ready, number[]] => [r, []]));
  for (let round = 0; round < o.pace.rounds; round++) {
    o.say(`round ${round + 1} of ${o.pace.rounds}`, PREPARING + ((1 - PREPARING) * round) / o.pace.rounds);
    // Everyone is first once.
    for (let i = 0; i < taking.length; i++) {
      o.signal.throwIfAborted();
      const r = taking[(i + round) % taking.length]!;
      samples.get(r)!.push(await timed(r.run, r.count));
    }
  }
  return ready.map((r): Timing => {
    const reason = dropped(r);
    return {
      name: r.contender.name,
      family: r.contender.family,
      detail: r.run.detail,
      count: r.count,
      ms: reason ? [r.warm] : samples.get(r)!,
      ...(reason && { dropped: reason }),
      ...r.verdict,
      ...(r.run.work !== undefined && { work: r.run.work }),
    };
  });
}
