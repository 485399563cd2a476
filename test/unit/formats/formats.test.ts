// A format is one file: its entry is compared with the list, the public exports, the fixtures and the documentation.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { findLayers } from '../../../src/formats/find-layers.js';
import { importerOf, LAYER_FORMATS, WEIGHT_FORMATS } from '../../../src/formats/layer-formats.js';
import * as door from '../../../src/formats.js';
import { EVERY_FORMAT } from '../../support/every-format.js';

const root = join(import.meta.dirname, '../../..');

test('no tensor stands twice in a format, and settings are among its tensors', () => {
  for (const { required, optional, ignored = [], settings = [] } of LAYER_FORMATS) {
    const parts = [...required, ...optional, ...ignored];
    expect(new Set(parts).size).toBe(parts.length);
    expect([...required, ...optional]).toEqual(expect.arrayContaining([...settings]));
  }
});

test('the importer of every format is public', () => {
  for (const { importer } of LAYER_FORMATS) expect(door).toHaveProperty(importer);
});

test('the table of docs/importing.md is what the formats say, line by line', () => {
  const rows = WEIGHT_FORMATS.flatMap((format) => format.rows);
  const lines = rows.map(({ format, tensors, read, exact }) => `| ${format} | ${tensors} | ${read} | ${exact} |`);
  const text = readFileSync(join(root, 'docs/importing.md'), 'utf8');
  const [, table] = /\| format \| tensors of a layer .*\n\|---.*\n((?:\|.*\n)+)/.exec(text) ?? [];
  expect(table?.trimEnd().split('\n')).toEqual(lines);
});

test('the rows of a format name every tensor that its layers are made of', () => {
  for (const { rows, layers } of WEIGHT_FORMATS) {
    const text = rows.map(({ tensors }) => tensors).join(' ');
    const parts = layers
      .flatMap(({ required, optional }) => [...required, ...optional])
      .map((part) => part.replace(/bitsandbytes__.*/, '…'));
    for (const part of parts.filter((one) => !NOT_MADE_OF.includes(one)))
      expect(text, part).toContain(`\`${part.replace(/state\.…/, 'state…')}\``);
  }
});
/** Tensors with which a layer is refused. */
const NOT_MADE_OF = ['quant_scale', 'quant_offset'];

describe('fixtures', () => {
  test('every format that is found by names has one, which is found as this format', async () => {
    const seen = new Set<string>();
    for (const { file, options } of EVERY_FORMAT) {
      const { layers, experts, refused } = await findLayers(file, options);
      expect(refused.map(({ error }) => error.message)).toEqual([]);
      for (const { format } of [...layers, ...experts]) {
        const own = LAYER_FORMATS.filter(({ name }) => format.startsWith(name));
        expect(own.map(({ importer }) => importer)).toContain(importerOf(format));
        seen.add(own.toSorted((a, b) => b.name.length - a.name.length)[0]!.name);
      }
    }
    expect([...seen].sort()).toEqual([...new Set(LAYER_FORMATS.map(({ name }) => name))].sort());
  });
});
