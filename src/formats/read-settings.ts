// The small tensors of settings of all layers of a file, read before any layer is made: a few reads at a time, and neighbours in one. What goes
// wrong while reading is thrown as it is: it says nothing of a layer.
import { FormatError } from '../errors.js';
import { readFrom } from '../files/given.js';
import { byPlace } from '../files/header-checks.js';
import { paced } from '../files/pace.js';
import type { RawTensor } from '../files/raw-tensor.js';
import type { ByteSource, TensorInfo } from '../files/tensor-file.js';

/** No settings are larger than this: what is, is not read. */
const MOST_BYTES = 65_536;
/** Reads at once: a host that allows few connections answers them, and files on disk stay far below what a process may open. */
const AT_ONCE = 8;
/** Bytes between two tensors that are read too, rather than asking twice. */
const GAP = 65_536;
/** Bytes of a read of several. */
const LONGEST = 2 ** 20;

/** One of the tensors, as it was read. @throws FormatError if it is larger than settings are */
export type Settings = (info: TensorInfo) => RawTensor;

interface Run {
  readonly source: ByteSource;
  readonly begin: number;
  end: number;
  readonly infos: TensorInfo[];
}

/** Neighbours of one source together. */
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

/** @throws what the sources throw, what `signal` was aborted with */
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
        next = runs.length; // nothing more is asked for
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
