// Cuts long work on the calling thread into slices. Other work runs between them, and an abort takes effect. A header may have 100 MB.

const SLICE = 20; // ms

/** A function that waits if the slice is over, and checks the signal. */
export function breather(signal: AbortSignal | undefined): () => Promise<void> | undefined {
  let began = performance.now();
  const rest = async (): Promise<void> => {
    await new Promise((resolve) => setTimeout(resolve));
    signal?.throwIfAborted();
    began = performance.now();
  };
  return () => (performance.now() - began < SLICE ? undefined : rest());
}

/** Work that can pause wherever it yields. */
export type Steps<T> = Generator<undefined, T, undefined>;

/** Runs the work. @throws its errors, the reason of `signal` */
export async function paced<T>(steps: Steps<T>, signal: AbortSignal | undefined): Promise<T> {
  const breathe = breather(signal);
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
    await breathe();
  }
}

const RUN = 4096;

/** Sorts stably; returns `items` if they are in order already. */
export function* sorted<T>(items: readonly T[], compare: (a: T, b: T) => number): Steps<readonly T[]> {
  if (items.every((item, i) => i === 0 || compare(items[i - 1]!, item) <= 0)) return items;
  let runs: T[][] = [];
  for (let begin = 0; begin < items.length; begin += RUN) {
    runs.push(items.slice(begin, begin + RUN).sort(compare));
    yield;
  }
  while (runs.length > 1) {
    const next: T[][] = [];
    for (let i = 0; i < runs.length; i += 2) next.push(i + 1 < runs.length ? yield* merged(runs[i]!, runs[i + 1]!, compare) : runs[i]!);
    runs = next;
  }
  return runs[0]!;
}

function* merged<T>(a: readonly T[], b: readonly T[], compare: (a: T, b: T) => number): Steps<T[]> {
  const out: T[] = [];
  for (let i = 0, j = 0; i < a.length || j < b.length; ) {
    const first = j === b.length || (i < a.length && compare(a[i]!, b[j]!) <= 0);
    out.push(first ? a[i++]! : b[j++]!);
    if (out.length % RUN === 0) yield;
  }
  return out;
}
