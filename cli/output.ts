// The files that antiquant quantize leaves: each is written under another name and has its own once it is whole, and a record beside them says
// what they were made of and how, so that a later run knows which of them it need not make again.
import { open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Sink, TensorFile } from '../src/formats.js';
import type { LayerReport } from './documents.js';
import { UsageError } from './exit.js';
import { isUrl, sourcesOf } from './open.js';

export interface RecordedShard {
  readonly bytes: number;
  readonly layers: readonly LayerReport[];
}

/** The JSON beside the output. Infinity is null in it. */
export interface RunRecord {
  readonly version: 1;
  readonly settings: unknown;
  readonly input: readonly { readonly name: string; readonly bytes: number; readonly modified: number | null }[];
  readonly shards: Readonly<Record<string, RecordedShard>>;
}

/** What the input is, as far as can be seen without reading it. */
export async function identityOf(file: TensorFile): Promise<RunRecord['input']> {
  return Promise.all(
    sourcesOf(file).map(async ({ name, bytes }) => {
      const modified = isUrl(name) ? null : Math.round((await stat(name)).mtimeMs);
      return { name: isUrl(name) ? name : basename(name), bytes, modified };
    }),
  );
}

const partOf = (path: string): string => `${path}.part`;

/** Writes a file that is there whole or not at all. @returns its size */
export async function writeWhole(path: string, write: (sink: Sink) => Promise<unknown>): Promise<number> {
  const part = partOf(path);
  const handle = await open(part, 'w');
  try {
    let size = 0;
    await write({
      async write(bytes) {
        for (let at = 0; at < bytes.length; ) at += (await handle.write(bytes, at, bytes.length - at)).bytesWritten;
        size += bytes.length;
      },
    });
    await handle.sync();
    await handle.close();
    await rename(part, path);
    return size;
  } catch (error) {
    await handle.close().catch(() => {});
    await rm(part, { force: true });
    throw error;
  }
}

export const writeText = async (path: string, text: string): Promise<void> => {
  await writeFile(partOf(path), text);
  await rename(partOf(path), path);
};

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

/**
 * The shards of an earlier run that need not be made again.
 * @param paths of all shards, by name; `others` will be written, too
 * @throws UsageError if there are files that another run made, or nobody knows who
 */
export async function earlier(
  recordPath: string,
  {
    wanted,
    paths,
    others,
    force,
  }: {
    readonly wanted: Omit<RunRecord, 'shards'>;
    readonly paths: ReadonlyMap<string, string>;
    readonly others: readonly string[];
    readonly force: boolean;
  },
): Promise<Readonly<Record<string, RecordedShard>>> {
  let record: RunRecord | undefined;
  try {
    record = JSON.parse(await readFile(recordPath, 'utf8')) as RunRecord;
  } catch {
    record = undefined; // none, or one that was damaged: the same
  }
  if (force) {
    // What is about to be replaced must not count as done if this run is stopped, nor lie beside what replaces it.
    await rm(recordPath, { force: true });
    const old = Object.keys(record?.shards ?? {}).filter((name) => paths.has(name) || /^model(-\d{5}-of-\d{5})?\.safetensors$/.test(name));
    for (const name of old) await rm(join(dirname(recordPath), name), { force: true });
    return {};
  }
  const there: string[] = [];
  for (const [name, path] of paths) if (await exists(path)) there.push(name);
  const strangers = there.map((name) => paths.get(name)!);
  for (const path of others) if (await exists(path)) strangers.push(path);
  if (strangers.length > 0 && !record)
    throw new UsageError(`${strangers[0]}: is there, and ${recordPath} does not say how it was made; --force replaces it`);
  if (!record) return {};
  const differs = (['settings', 'input', 'version'] as const).filter((key) => JSON.stringify(record[key]) !== JSON.stringify(wanted[key]));
  if (differs.length > 0) {
    const [before, now] = [record, wanted].map((one) => one[differs[0]!]) as [Record<string, unknown>, Record<string, unknown>];
    const fields =
      differs[0] === 'settings' ? Object.keys(now).filter((key) => JSON.stringify(now[key]) !== JSON.stringify(before?.[key])) : [];
    const what = fields.length > 0 ? fields.map((key) => `${key} ${before?.[key]}, now ${now[key]}`).join('; ') : `another ${differs[0]}`;
    throw new UsageError(`${recordPath}: a run with ${what}; --force begins anew`);
  }
  const done: Record<string, RecordedShard> = {};
  for (const name of there) {
    const shard = record.shards[name];
    if (shard && (await stat(paths.get(name)!)).size === shard.bytes) done[name] = shard;
  }
  return done;
}

/** JSON has no Infinity: an exact layer's SQNR is null in it. */
export const sqnrOf = (value: number | null): number => value ?? Number.POSITIVE_INFINITY;
