// Reads the small tensors with settings of all layers of a file: a few reads at a time, neighbours in one read. Errors of reading are
// thrown, since they do not concern a layer.
import { FormatError } from '../errors.js';
import { readFrom } from '../files/given.js';
import { byPlace } from '../files/header-checks.js';
import { paced } from '../files/pace.js';
import type { RawTensor } from '../files/raw-tensor.js';
import type { ByteSource, TensorInfo } from '../files/tensor-file.js';

/** Largest settings that are read. */
const MOST_BYTES = 65_536;
/** Reads at once: few enough for hosts with few connections and for a process's limit of open files. */
const AT_ONCE = 8;
/** A gap of at most so many bytes between two tensors is read too, to save a request. */
const GAP = 65_536;
/** Most bytes of a read of several tensors. */
const LONGEST = 2 ** 20;

/** Returns a tensor that was read. @throws FormatError if it is larger than MOST_BYTES */
export type Settings = (info: TensorInfo) => RawTensor;

interface Run {
  readonly source: ByteSource;
  readonly begin: number;
  end: number;
  readonly infos: TensorInfo[];
}

/** Runs of neighbouring tensors of one source. */
async function runsOf(infos: readonly TensorInfo[], signal: AbortSignal | undefined): Promise<Run[]> {
  const bySource = new Map<ByteSource, TensorInfo[]>();
  for (const info of infos) {
    const own = bySource.get(info.source);
    if (own) own.push(info);
    else bySource.set(info.source, [info]);
  }
  const runs: Run[] = [];
  for (const [source, own] of bySource) {
    let run: Run | undefined;
    for (const info of await paced(byPlace(own), signal)) {
      const { begin, end } = info;
      if (!run || begin - run.end > GAP || end - run.begin > LONGEST) runs.push((run = { source, begin, end, infos: [] }));
      run.infos.push(info);
      run.end = Math.max(run.end, end);
    }
  }
  return runs;
}

/** @throws errors of the sources, the reason of `signal` */
export async function readSettings(infos: readonly TensorInfo[], signal: AbortSignal | undefined): Promise<Settings> {
  const read = new Map<TensorInfo, Uint8Array>();
  const runs = await runsOf(
    infos.filter(({ begin, end }) => end - begin <= MOST_BYTES),
    signal,
  );
  let next = 0;
  const take = async (): Promise<void> => {
    while (next < runs.length) {
      const { source, begin, end, infos: own } = runs[next++]!;
      try {
        const bytes = await readFrom(source, begin, end, signal);
        for (const info of own) read.set(info, bytes.subarray(info.begin - begin, info.end - begin));
      } catch (error) {
        next = runs.length; // starts no further read
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, take));
  return (info) => {
    const { name, dtype, shape, source, begin, end } = info;
    const bytes = read.get(info);
    if (!bytes)
      throw new FormatError(
        { file: source.name, tensor: name, field: 'size' },
        `at most ${MOST_BYTES} bytes of settings`,
        `${end - begin}`,
      );
    return { name, file: source.name, dtype, shape, bytes };
  };
}
