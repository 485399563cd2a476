// Progress on stderr: one line that is drawn again on a terminal, else a line for each tenth.
import type { Io } from './command.js';
import { bytesText, plain, shorten } from './text.js';

export interface Bar {
  /** Adds finished `bytes`; `what` names the current step. */
  add(bytes: number, what: string): void;
  /** Removes the line. */
  end(): void;
}

const BAR = 24;
const INTERVAL = 100;

const duration = (seconds: number): string =>
  seconds < 60 ? `${Math.ceil(seconds)} s` : `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`;

export function barText(done: number, total: number, { seconds, what, width }: { seconds: number; what: string; width: number }): string {
  const part = total === 0 ? 1 : Math.min(1, done / total);
  const full = Math.floor(part * BAR);
  const rate = seconds > 0 ? done / seconds : 0;
  const left = rate > 0 && part < 1 ? `, ${duration((total - done) / rate)} left` : '';
  const text = `[${'#'.repeat(full)}${'-'.repeat(BAR - full)}] ${String(Math.floor(100 * part)).padStart(3)}% ${bytesText(rate)}/s${left} `;
  return text + shorten(plain(what), Math.max(8, width - text.length - 1));
}

export function progress(
  total: number,
  { err, draw = err, live, columns }: Pick<Io, 'err' | 'draw' | 'live' | 'columns'>,
  now = () => performance.now(),
): Bar {
  const began = now();
  let done = 0;
  let drawn = Number.NEGATIVE_INFINITY;
  let tenth = 0;
  return {
    add(bytes, what) {
      done += bytes;
      const seconds = (now() - began) / 1000;
      if (live) {
        if (now() - drawn < INTERVAL && done < total) return;
        drawn = now();
        draw(`\r${barText(done, total, { seconds, what, width: columns })}\u001b[K`);
      } else if (Math.floor((10 * done) / total) > tenth) {
        tenth = Math.floor((10 * done) / total);
        err(`${10 * tenth}%, ${bytesText(done)} of ${bytesText(total)}, ${bytesText(seconds > 0 ? done / seconds : 0)}/s, ${what}\n`);
      }
    },
    end() {
      if (live && drawn > Number.NEGATIVE_INFINITY) draw('\r\u001b[K');
    },
  };
}
