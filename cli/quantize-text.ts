// The result of quantize as text: a line for each layer, then the copied tensors with reasons. Pure.

import { wrap } from './command.js';
import type { QuantizeDocument } from './documents.js';
import { sqnrOf } from './output.js';
import { bytesText, type Column, count, decibels, plain, shapeText, table, withoutNumbers } from './text.js';

const COLUMNS: readonly Column[] = [
  { title: 'layer', align: 'left', flexible: true },
  { title: 'N × K', align: 'left' },
  { title: 'bits/weight', align: 'right' },
  { title: 'SQNR dB', align: 'right' },
  { title: 'max error', align: 'right' },
];

export function quantizeText(document: QuantizeDocument, width: number): string {
  const { layers, copied, otherTensors, shards, output, bytes, bytesBefore, seconds } = document;
  const rows = layers.map(({ name, n, k, bitsPerWeight, sqnr, maxError }) => [
    plain(name),
    shapeText([n, k]),
    bitsPerWeight.toFixed(2),
    decibels(sqnrOf(sqnr)),
    maxError.toExponential(1),
  ]);
  const parts = [layers.length > 0 ? table(COLUMNS, rows, { width }) : 'No layer was quantized.\n'];
  const reasons = new Map<string, number>();
  for (const { name, why } of copied) {
    const line = `${withoutNumbers(plain(name))}: ${why}`;
    reasons.set(line, (reasons.get(line) ?? 0) + 1);
  }
  if (reasons.size > 0)
    parts.push(
      `\nCopied as they are\n${[...reasons].map(([line, times]) => `  ${wrap(`${line}${times > 1 ? ` (× ${times})` : ''}`, width, '    ')}\n`).join('')}`,
    );
  if (otherTensors > 0)
    parts.push(`${reasons.size > 0 ? '  and' : '\nCopied as they are:'} ${count(otherTensors, 'tensor')} of other dtypes\n`);
  parts.push(
    `\n${plain(output)}\n${count(shards.length, 'file')}, ${bytesText(bytes)} of ${bytesText(bytesBefore)}, in ${seconds.toFixed(1)} s\n`,
  );
  return parts.join('');
}
