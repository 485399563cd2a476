// Writes the files of antiquant quantize: each under a temporary name, renamed when it is complete. A record beside them holds input and
// options, so that a later run continues.
import { randomBytes } from 'node:crypto';
import { type FileHandle, lstat, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Sink, TensorFile } from '../src/formats.js';
import type { LayerReport } from './documents.js';
import { UsageError } from './exit.js';
import { isUrl, sourcesOf } from './open.js';

export interface RecordedShard {
  readonly bytes: number;
  readonly layers: readonly LayerReport[];
}

/** The record: JSON beside the output, with null for Infinity. */
export interface RunRecord {
  readonly version: 1;
  readonly settings: unknown;
  readonly input: readonly { readonly name: string; readonly bytes: number; readonly modified: number | null }[];
  readonly shards: Readonly<Record<string, RecordedShard>>;
  /** The file that is being written, or was at the end of the run. */
  readonly part?: string | undefined;
}

/** The identity of the input: names, sizes and times of change. */
export async function identityOf(file: TensorFile): Promise<RunRecord['input']> {
  return Promise.all(
    sourcesOf(file).map(async ({ name, bytes }) => {
      const modified = isUrl(name) ? null : Math.round((await stat(name)).mtimeMs);
      return { name: isUrl(name) ? name : basename(name), bytes, modified };
    }),
  );
}

/** A temporary name for a file, which nobody can predict. */
export const partOf = (path: string): string => `${path}.${randomBytes(8).toString('hex')}.part`;
const PART = /\.[0-9a-f]{16}\.part$/;

/** Creates a file where nothing has the name, not even a link: O_CREAT | O_EXCL. */
const create = (path: string): Promise<FileHandle> => open(path, 'wx');

/** Writes a file as `part` and renames it when it is complete. @returns its size */
export async function writeWhole(path: string, part: string, write: (sink: Sink) => Promise<unknown>): Promise<number> {
  const handle = await create(part);
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
  await writeWhole(path, partOf(path), async (sink) => sink.write(new TextEncoder().encode(text)));
};

/** Reads a record; undefined if it is missing or invalid. */
async function readRecord(path: string): Promise<RunRecord | undefined> {
  try {
    const record = JSON.parse(await readFile(path, 'utf8')) as RunRecord;
    const isShard = (shard: unknown): boolean => {
      const { bytes, layers } = shard as RecordedShard;
      return Number.isSafeInteger(bytes) && Array.isArray(layers) && layers.every((layer) => typeof layer?.name === 'string');
    };
    return Object.values(record.shards).every(isShard) && Array.isArray(record.input) ? record : undefined;
  } catch {
    return undefined; // missing or damaged
  }
}

/** Removes the part that a killed run was writing, which its record names, in the record's folder. */
async function removePart(recordPath: string, part: string | undefined): Promise<void> {
  if (part === undefined || !PART.test(part) || basename(part) !== part) return;
  const path = join(dirname(recordPath), part);
  if ((await lstat(path).catch(() => undefined))?.isFile()) await rm(path, { force: true });
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

/**
 * The complete shards of an earlier run with the same input and options.
 * @param paths paths of all shards, by name; `others` will be written too
 * @throws UsageError if there are files of another run or of unknown origin
 */
export async function earlier(
  recordPath: string,
  {
    wanted,
    paths,
    others,
    force,
  }: {
    readonly wanted: Omit<RunRecord, 'shards' | 'part'>;
    readonly paths: ReadonlyMap<string, string>;
    readonly others: readonly string[];
    readonly force: boolean;
  },
): Promise<Readonly<Record<string, RecordedShard>>> {
  const record = await readRecord(recordPath);
  await removePart(recordPath, record?.part);
  if (force) {
    // Files of an earlier run that will be replaced are removed first, so that they do not count as finished if this run is stopped.
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
