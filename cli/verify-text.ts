// The result of verify as text. Pure.
import { wrap } from './command.js';
import type { VerifiedLayer, VerifyDocument } from './documents.js';
import { type Column, count, plain, shapeText, table } from './text.js';

const NAME: Column = { title: 'layer', align: 'left', flexible: true };
const SIZE: Column = { title: 'N × K', align: 'left' };
const left = (title: string): Column => ({ title, align: 'left' });

/** The faults of a layer in words. */
export function faults({ notFinite, rewritten, gpu }: VerifiedLayer): string[] {
  const words: string[] = [];
  if (notFinite > 0) words.push(`${count(notFinite, 'weight')} not finite`);
  if (rewritten === false) words.push('written and read again, it differs');
  if (gpu && gpu.outside > 0) {
    const { row, output, got, low, high } = gpu.at;
    words.push(`${gpu.outside} of ${gpu.elements} outside (${gpu.kernel}): y[${row}, ${output}] = ${got}, expected ${low} to ${high}`);
  }
  return words;
}

const verdict = (layer: VerifiedLayer): string => (layer.ok ? 'ok' : 'WRONG');
const again = ({ rewritten }: VerifiedLayer): string => (rewritten === null ? '-' : rewritten ? 'same' : 'differs');

export function verifyText(document: VerifyDocument, width: number): string {
  const { file, gpu, noGpu, rows, dtype, layers, refused } = document;
  const where = gpu === null ? `no GPU (${noGpu}): only importers and writers are verified` : `${gpu}; ${count(rows, 'row')} of ${dtype}`;
  const columns = [NAME, SIZE, left('rewritten'), ...(gpu === null ? [] : [left('of the bound')]), left('')];
  const lines = layers.map((layer) => [
    plain(layer.name),
    shapeText([layer.n, layer.k]),
    again(layer),
    ...(gpu === null ? [] : [layer.gpu ? `${Number((100 * layer.gpu.worst).toPrecision(2))}%` : '-']),
    verdict(layer),
  ]);
  const parts = [`${wrap(plain(file), width)}\n${wrap(where, width)}\n\n`];
  if (lines.length > 0) parts.push(table(columns, lines, { width }));
  for (const layer of layers) for (const fault of faults(layer)) parts.push(`${wrap(`${plain(layer.name)}: ${fault}`, width, '  ')}\n`);
  for (const { name, format, why } of refused) parts.push(`${wrap(`${plain(name)} (${format}): refused: ${plain(why)}`, width, '  ')}\n`);
  const wrong = layers.filter(({ ok }) => !ok).length;
  parts.push(`\n${count(layers.length - wrong, 'layer')} right, ${wrong} wrong, ${refused.length} refused\n`);
  return parts.join('');
}
