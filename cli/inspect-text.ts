// An inspection as text: a heading for each importer or verdict, with its layers or tensors. Pure.
import { wrap } from './command.js';
import type { InspectedExperts, InspectedLayer, InspectedTensor, Inspection } from './documents.js';
import { bytesText, type Column, count, plain, shapeText, table, withoutNumbers } from './text.js';

const COLUMNS: readonly Column[] = [
  { title: 'name', align: 'left', flexible: true },
  { title: '', align: 'left' },
  { title: 'dtype', align: 'left' },
  { title: 'shape', align: 'left' },
  { title: 'bytes', align: 'right' },
];
const WITHOUT_DTYPE = COLUMNS.filter(({ title }) => title !== 'dtype');

interface Row {
  readonly name: string;
  readonly dtype?: string;
  readonly shape: string;
  readonly bytes: number;
}

/** Merges rows whose names differ only in numbers, with their count and the sum of their bytes. */
export function merged(rows: readonly Row[]): (Row & { readonly times: number })[] {
  const lines = new Map<string, Row & { times: number }>();
  for (const row of rows) {
    const key = JSON.stringify([withoutNumbers(row.name), row.dtype, row.shape]);
    const line = lines.get(key);
    if (line) lines.set(key, { ...line, name: withoutNumbers(row.name), bytes: line.bytes + row.bytes, times: line.times + 1 });
    else lines.set(key, { ...row, times: 1 });
  }
  return [...lines.values()];
}

function list(
  rows: readonly Row[],
  { width, each, dtype }: { readonly width: number; readonly each: boolean; readonly dtype: boolean },
): string {
  const lines = each ? rows.map((row) => ({ ...row, times: 1 })) : merged(rows);
  const cells = lines.map(({ name, times, dtype: type = '', shape, bytes }) => [
    plain(name) || '(no name)',
    times > 1 ? `× ${times}` : '',
    ...(dtype ? [type] : []),
    shape,
    bytesText(bytes),
  ]);
  return table(dtype ? COLUMNS : WITHOUT_DTYPE, cells, { width, indent: '    ', titles: false });
}

/** Groups items by a key, in order of their first members. */
function grouped<T>(items: readonly T[], key: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(key(item));
    if (group) group.push(item);
    else groups.set(key(item), [item]);
  }
  return groups;
}

/** A layer, or the experts of a block. */
type Kind = Omit<InspectedLayer, 'bias'> & Partial<Pick<InspectedExperts, 'experts' | 'numbered'>>;

/** Bits a weight of several layers together; empty if they could not be imported. */
function bitsText(layers: readonly Kind[]): string {
  const sum = (of: (layer: Kind) => number): number =>
    layers.reduce((total, one) => total + of(one) * (one.experts ?? 1) * one.n * one.k, 0);
  const weights = sum(() => 1);
  if (layers.some(({ bitsInMemory }) => bitsInMemory === null)) return '';
  const [file, memory] = [sum(({ bitsInFile }) => bitsInFile), sum(({ bitsInMemory }) => bitsInMemory!)];
  return `; ${(file / weights).toFixed(2)} bits a weight in the file, ${(memory / weights).toFixed(2)} in GPU memory`;
}

function head({ file, kind, files, bytes, config }: Inspection, width: number): string {
  const what = `${kind}, ${count(files.length, 'file')}, ${bytesText(bytes)}${config === null ? '' : `; configuration: ${config.split('/').at(-1)}`}`;
  return `${wrap(plain(file), width)}\n${what}\n`;
}

export function inspectText(document: Inspection, { width, each }: { readonly width: number; readonly each: boolean }): string {
  const { layers, experts, refused, totals } = document;
  const parts: string[] = [head(document, width)];
  const part = (title: string, what: string, rows: string): void => {
    parts.push(`\n${title}\n${what ? `  ${wrap(what, width, '  ')}\n` : ''}${rows}`);
  };
  const kinds = (all: readonly Kind[], counted: (members: readonly Kind[]) => string): void => {
    for (const [, members] of grouped(all, ({ format, what, why, numbered }) =>
      JSON.stringify([format, why === null ? what : 'refused', numbered]),
    )) {
      const { format, what, numbered } = members[0]!;
      const rows = members.map(({ name, experts, n, k, bytes }) => ({
        name,
        shape: shapeText([...(experts ? [experts] : []), n, k]),
        bytes,
      }));
      const bytes = bytesText(members.reduce((sum, one) => sum + one.bytes, 0));
      const above = numbered ? '; each expert is a layer of those above' : '';
      part(`${format}: ${counted(members)}, ${bytes}`, plain(what) + bitsText(members) + above, list(rows, { width, each, dtype: false }));
    }
  };
  kinds(layers, ({ length }) => count(length, 'layer'));
  kinds(experts, ({ length }) => count(length, 'block of experts', 'blocks of experts'));
  for (const [format, members] of grouped(refused, (one) => one.format)) {
    const lines = members.map(({ name, why }) => `    ${wrap(plain(`${name}: ${why}`), width, '      ')}\n`);
    part(`${format}: ${count(members.length, 'layer')}, refused`, '', lines.join(''));
  }
  for (const [format, members] of grouped(document.notYet, (one) => one.format)) {
    const rows = members.map(({ name, bytes }) => ({ name, shape: '', bytes }));
    const total = bytesText(members.reduce((sum, { bytes }) => sum + bytes, 0));
    part(
      `${plain(format)}: ${count(members.length, 'layer')}, ${total}`,
      plain(members[0]!.why),
      list(rows, { width, each, dtype: false }),
    );
  }
  const tensors = (title: string, members: readonly InspectedTensor[]): void => {
    for (const [what, some] of grouped(members, (one) => one.what)) {
      const rows = some.map(({ name, dtype, shape, bytes }) => ({ name, dtype, shape: shapeText(shape), bytes }));
      const total = bytesText(some.reduce((sum, { bytes }) => sum + bytes, 0));
      part(`${title}: ${count(some.length, 'tensor')}, ${total}`, what, list(rows, { width, each, dtype: true }));
    }
  };
  tensors('Float matrices', document.float);
  tensors('Others', document.other);
  const rows = totals.map((one) => [one.format, String(one.count), bytesText(one.bytes)]);
  const columns: Column[] = [
    { title: 'total', align: 'left', flexible: true },
    { title: 'count', align: 'right' },
    { title: 'bytes', align: 'right' },
  ];
  parts.push(`\n${table(columns, rows, { width })}`);
  return parts.join('');
}

/** A line for every tensor. */
export function tensorsText(document: Inspection, width: number): string {
  const rows = document.tensors!.map(({ name, dtype, shape, bytes, what }) => [
    plain(name),
    dtype,
    shapeText(shape),
    bytesText(bytes),
    plain(/^[\w-]+/.exec(what)?.[0] ?? ''), // its format, or float, no matrix, unsupported
  ]);
  const columns: Column[] = [
    { title: 'tensor', align: 'left', flexible: true },
    { title: 'dtype', align: 'left' },
    { title: 'shape', align: 'left' },
    { title: 'bytes', align: 'right' },
    { title: 'is', align: 'left' },
  ];
  return `${head(document, width)}\n${table(columns, rows, { width })}`;
}
