// The files of a drop or of a choice, also of a folder: those that lie in it, without its folders'. Models' files lie beside each other, and what
// lies below, such as another version of the same weights, would have the same names.

/** Files of a folder that are taken at most: several times the shards of the largest models. */
const MOST = 20_000;

async function inFolder(folder: FileSystemDirectoryEntry): Promise<File[]> {
  const reader = folder.createReader();
  const files: File[] = [];
  // Each call gives the next hundred, the last one none.
  for (;;) {
    const entries = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (entries.length === 0 || files.length >= MOST) return files;
    for (const entry of entries) if (entry.isFile) files.push(await fileOf(entry as FileSystemFileEntry));
  }
}

const fileOf = (entry: FileSystemFileEntry): Promise<File> => new Promise((resolve, reject) => entry.file(resolve, reject));

/** @throws DOMException for a folder that cannot be read */
export async function droppedFiles(data: DataTransfer | null): Promise<readonly File[]> {
  // Entries are gone once the event has been handled: all are asked for before the first wait.
  const entries = [...(data?.items ?? [])].map((item) => item.webkitGetAsEntry?.());
  const plain = [...(data?.files ?? [])];
  if (!entries.some((entry) => entry?.isDirectory)) return plain;
  const all = entries.map((entry) =>
    entry?.isDirectory
      ? inFolder(entry as FileSystemDirectoryEntry)
      : entry
        ? fileOf(entry as FileSystemFileEntry).then((file) => [file])
        : [],
  );
  return (await Promise.all(all)).flat();
}

/** Of an <input webkitdirectory>, which lists everything below the folder. */
export const chosenFiles = (list: Iterable<File> | null): readonly File[] =>
  [...(list ?? [])].filter(({ webkitRelativePath }) => webkitRelativePath.split('/').length <= 2);
