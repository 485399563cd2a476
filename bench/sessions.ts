// Runs sessions one after another: makes data and truth, prepares contenders, measures each product. The caller chooses products and
// contenders: run.ts for a host of the bench, demo/panels/bench/jobs/index.ts for the page.

import { BYTES } from '../src/dtype.js';
import { makeCase } from '../test/cases/cases.js';
import { makeData } from '../test/cases/data.js';
import { bytesOf, type Contender, type Engine, type Operands } from './contender.js';
import { measureCell, type Pace, type Verdict } from './measure.js';
import { type Cell, cellName, type Family } from './results.js';
import type { Session } from './shapes.js';
import { check, PEER_TOLERANCE, type Truth, truthOf } from './truth.js';

export interface Progress {
  /** Finished cells and all cells. */
  readonly done: number;
  readonly total: number;
  /** Progress of the current cell, 0 to 1. */
  readonly share: number;
  readonly text: string;
  readonly cell?: Cell;
}

export interface Work {
  readonly sessions: readonly Session[];
  readonly pace: Pace;
  /** The contenders of a session; they are destroyed after it. */
  readonly contenders: (operands: Operands) => readonly Contender[];
  /** Milliseconds of warming up a peer's WebAssembly before timing, so that the engine has compiled its hot code. */
  readonly warmUp: number;
  readonly report: (progress: Progress) => void;
  /** Receives the reason why a contender does not take part. */
  readonly note: (text: string) => void;
  readonly signal: AbortSignal;
  /** Pauses for messages before work that blocks the thread. */
  readonly breathe?: () => Promise<void>;
}

export function operandsOf(session: Session): Operands {
  const { k, n, bits, group, dtype, offset, rows } = session;
  const mode = group === 0 ? 'channel' : 'group';
  // Peers know whole zero points only, which exact cases have; how long a product takes does not depend on its numbers.
  const c = makeCase({ m: Math.max(...rows), k, n, bits, dtype, offset, mode, groupSize: group, data: offset ? 'exact' : 'random' });
  return { session, ...makeData(c) };
}

export const weightBytes = ({ tensors }: Operands): number =>
  Object.values(tensors).reduce((sum, tensor) => sum + bytesOf(tensor).length, 0);

/** Warms up a contender: engines compile new WebAssembly in several stages. */
async function warmUp(contender: Contender | undefined, ms: number, signal: AbortSignal): Promise<void> {
  const run = await contender?.prepare(1);
  if (!run || typeof run === 'string') return;
  for (const end = performance.now() + ms; performance.now() < end; ) {
    signal.throwIfAborted();
    await run.call(4);
  }
  run.free();
}

const own = (family: Family): boolean => family === 'ours' || family === 'ours-other';

/** A wrong peer is left out; a wrong answer of ours is a failure. */
const judgeBy =
  (truth: Truth, m: number, n: number) =>
  (family: Family, y: ArrayLike<number>): Verdict => {
    const { error, outside } = check(truth, y, m, n);
    if (own(family)) return { error, ...(outside > 0 && { wrong: `${outside} elements outside the reference's interval` }) };
    return { error, ...(!(error <= PEER_TOLERANCE) && { wrong: `error above ${PEER_TOLERANCE}` }) };
  };

export async function measureSessions(engine: Engine, work: Work): Promise<Cell[]> {
  const { sessions, pace, signal, breathe } = work;
  const { device } = engine;
  const total = sessions.reduce((sum, { rows }) => sum + rows.length, 0);
  const cells: Cell[] = [];
  const say = (text: string, share = 0, cell?: Cell): void =>
    work.report({ done: cells.length, total, share, text, ...(cell && { cell }) });
  // One contender's invalid shader must not be taken for another's.
  const inScope = async <T>(task: () => Promise<T>): Promise<T> => {
    device.pushErrorScope('validation');
    let thrown = true;
    try {
      const result = await task();
      thrown = false;
      return result;
    } finally {
      const error = await device.popErrorScope();
      // biome-ignore lint/correctness/noUnsafeFinally: what the GPU says is the result of a scope that ended well
      if (error && !thrown) throw new Error(error.message);
    }
  };

  for (const [i, session] of sessions.entries()) {
    signal.throwIfAborted();
    say(`${cellName({ ...session, m: session.rows[0]! })}: data, reference, sessions`);
    await breathe?.();
    const operands = operandsOf(session);
    await breathe?.();
    const truth = truthOf(operands);
    const contenders = work.contenders(operands);
    try {
      if (i === 0) {
        const peer = contenders.find(({ family }) => family === 'ort-gpu' || family === 'ort-wasm');
        if (peer) say(`${peer.name}: loaded and warmed up`);
        await warmUp(peer, work.warmUp, signal).catch((error: Error) => {
          signal.throwIfAborted();
          work.note(`${peer?.name}: ${error.message}`);
        });
      }
      for (const m of session.rows) {
        const { k, n, bits, group, dtype, offset } = session;
        const name = cellName({ ...session, m });
        const timings = await measureCell(contenders, {
          m,
          pace,
          say: (text, share) => say(`${name}: ${text}`, share),
          judge: judgeBy(truth, m, n),
          signal,
          note: (text) => work.note(`${name}: ${text}`),
          inScope,
        });
        const bytes = weightBytes(operands) + m * (k + n) * BYTES[dtype];
        const cell = { m, k, n, bits, group, dtype, offset, bytes, timings };
        cells.push(cell);
        say(name, 0, cell);
      }
    } finally {
      for (const contender of contenders) await contender.destroy();
    }
  }
  return cells;
}
