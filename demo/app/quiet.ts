// A promise of the page: the work that the visitor waits for first is done. Until then nothing is fetched ahead.
import { signal } from '@preact/signals';

/** Has the first work been done? The panel that the page opens with says so. */
export const quiet = signal(false);
/** A visitor may never let the work end. */
const MOST_MS = 20_000;

export function whenQuiet(then: () => void): void {
  let done = false;
  const once = (): void => {
    if (done) return;
    done = true;
    stop();
    then();
  };
  const stop = quiet.subscribe((now) => {
    if (now) queueMicrotask(once);
  });
  setTimeout(once, MOST_MS);
}
