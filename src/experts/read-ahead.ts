// Reads the parts of experts that lie one behind another in a file together: an expert's scales are a few kilobytes, and a request for each
// would take longer than the bytes.
import type { ByteSource, TensorInfo } from '../files/tensor-file.js';
import type { LayerSource } from '../formats/layer-source.js';

/** Bytes of a read, for each tensor of the experts. */
export const AHEAD_BYTES = 2 ** 23;

type Source = LayerSource | TensorInfo;

/** The tensors of an expert, by their parts' names. */
const partsIn = (source: Source): Readonly<Record<string, TensorInfo>> =>
  'tensors' in source ? { ...source.tensors, ...(source.bias && { bias: source.bias }) } : { tensor: source };

/** The same experts, with sources that read ahead where the next expert's part follows. */
export function readingAhead(experts: readonly Source[]): Source[] {
  const replaced = new Map<TensorInfo, TensorInfo>();
  for (const part of Object.keys(experts[0] ? partsIn(experts[0]) : {})) {
    const infos = experts.flatMap((expert) => partsIn(expert)[part] ?? []);
    for (let first = 0, next = 1; first < infos.length; first = next++) {
      while (next < infos.length && follows(infos[next - 1]!, infos[next]!)) next++;
      if (next === first + 1) continue;
      const source = ahead(infos[first]!.source, infos[next - 1]!.end);
      for (const info of infos.slice(first, next)) replaced.set(info, { ...info, source });
    }
  }
  const swap = (info: TensorInfo): TensorInfo => replaced.get(info) ?? info;
  return experts.map((expert): Source => {
    if (!('tensors' in expert)) return swap(expert);
    const tensors = Object.fromEntries(Object.entries(expert.tensors).map(([part, info]) => [part, swap(info)]));
    return { ...expert, tensors, bias: expert.bias && swap(expert.bias) };
  });
}

const follows = (before: TensorInfo, { source, begin }: TensorInfo): boolean => source === before.source && begin === before.end;

/** A source that keeps what it read beyond a request, as far as `last`. */
function ahead(source: ByteSource, last: number): ByteSource {
  let kept: { readonly begin: number; readonly bytes: Uint8Array<ArrayBuffer> } | undefined;
  return {
    name: source.name,
    size: source.size,
    async read(begin, end, signal) {
      if (!kept || begin < kept.begin || end > kept.begin + kept.bytes.length) {
        kept = undefined; // two of them are never in memory
        const until = Math.max(end, Math.min(last, begin + AHEAD_BYTES));
        kept = { begin, bytes: await source.read(begin, until, signal) };
      }
      return kept.bytes.slice(begin - kept.begin, end - kept.begin);
    },
  };
}
