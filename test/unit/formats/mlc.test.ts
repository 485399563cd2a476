// The reader of MLC's weights: a fixture written by hand after TVM's writer (tvm.contrib.tvmjs, dump_tensor_cache), and hostile indices.
import { describe, expect, test } from 'vitest';
import { openMlc } from '../../../src/files/mlc-cache.js';
import { readTensor } from '../../../src/files/open-file.js';
import { expectFormatError, type Wanted } from '../../support/expect-errors.js';
import { counted, counting, fromMap, makeMlc, utf8 } from '../../support/files.js';

const INDEX = 'ndarray-cache.json';
const open = (files: ReadonlyMap<string, Uint8Array>) => openMlc(counting(files.get(INDEX)!, INDEX), { resolve: fromMap(files) });

test('an index as TVM writes it: f32-to-bf16 on every record, and bfloat16 only where the dtype is float32', async () => {
  const text = `{
    "metadata": {"ParamSize": 3, "ParamBytes": 46.0, "BitsPerParam": 4.5},
    "records": [{
      "dataPath": "params_shard_0.bin", "format": "raw-shard", "nbytes": 46, "md5sum": "0",
      "records": [
        {"name": "model.layers.0.q_weight", "shape": [2, 4], "dtype": "uint32", "format": "f32-to-bf16", "nbytes": 32, "byteOffset": 0},
        {"name": "model.layers.0.q_scale", "shape": [2, 1], "dtype": "float16", "format": "f32-to-bf16", "nbytes": 4, "byteOffset": 32},
        {"name": "model.norm.weight", "shape": [5], "dtype": "float32", "format": "f32-to-bf16", "nbytes": 10, "byteOffset": 36}
      ]
    }]
  }`;
  const file = await open(
    new Map([
      [INDEX, utf8(text)],
      ['params_shard_0.bin', counted(46)],
    ]),
  );
  expect(file.kind).toBe('mlc');
  expect({ ...file.metadata }).toEqual({ ParamSize: 3, ParamBytes: 46, BitsPerParam: 4.5 });
  expect([...file.tensors.values()].map(({ name, dtype, shape, begin, end }) => [name, dtype, shape, begin, end])).toEqual([
    ['model.layers.0.q_weight', 'U32', [2, 4], 0, 32],
    ['model.layers.0.q_scale', 'F16', [2, 1], 32, 36],
    ['model.norm.weight', 'BF16', [5], 36, 46],
  ]);
  expect((await readTensor(file.tensors.get('model.norm.weight')!)).bytes).toEqual(counted(46).slice(36));
});

const tensor = (name: string, dtype: string, shape: number[], bytes: number) => ({ name, dtype, shape, bytes: counted(bytes) });
const files = makeMlc([[tensor('a', 'U32', [2], 8), tensor('b', 'F16', [3], 6)], [tensor('c', 'F32', [1], 4)]]);

test('several shards, in order', async () => {
  const file = await open(files);
  expect([...file.tensors.values()].map(({ name, source, dtype }) => [name, source.name, dtype])).toEqual([
    ['a', 'params_shard_0.bin', 'U32'],
    ['b', 'params_shard_0.bin', 'F16'],
    ['c', 'params_shard_1.bin', 'F32'],
  ]);
});

describe('refused', () => {
  type Index = { records: (Record<string, unknown> & { records: Record<string, unknown>[] })[] };
  const cases: [string, (index: Index) => unknown, Wanted][] = [
    ['no records', (index) => delete (index as Partial<Index>).records, { field: 'records', got: 'nothing' }],
    ['a shard out of the folder', ({ records }) => (records[0]!.dataPath = '../../x'), { field: 'records[0].dataPath', got: '"../../x"' }],
    ['a shard twice', ({ records }) => (records[1]!.dataPath = 'params_shard_0.bin'), { field: 'records[1].dataPath', expected: 'once' }],
    [
      'a shard of another format',
      ({ records }) => (records[0]!.format = 'zip'),
      { field: 'records[0].format', expected: 'raw-shard', got: '"zip"' },
    ],
    [
      'a shard of another size',
      ({ records }) => (records[0]!.nbytes = 15),
      { file: 'params_shard_0.bin', field: 'size', expected: '15', got: '14' },
    ],
    ['a shard of half a byte', ({ records }) => (records[0]!.nbytes = 14.5), { field: 'records[0].nbytes', got: '14.5' }],
    [
      'a record that is none',
      ({ records }) => (records[0]!.records[0] = [] as never),
      { field: 'records[0].records[0]', expected: 'an object' },
    ],
    ['a name twice', ({ records }) => (records[1]!.records[0]!.name = 'a'), { tensor: 'a', field: 'name', expected: 'once' }],
    ['no name', ({ records }) => delete records[0]!.records[0]!.name, { field: 'records[0].records[0].name', got: 'nothing' }],
    ['an unknown dtype', ({ records }) => (records[0]!.records[0]!.dtype = 'toString'), { tensor: 'a', field: 'dtype', got: '"toString"' }],
    ['an unknown format', ({ records }) => (records[0]!.records[0]!.format = 'f16'), { tensor: 'a', field: 'format', got: '"f16"' }],
    [
      'other bytes than the shape has',
      ({ records }) => (records[0]!.records[0]!.nbytes = 7),
      { tensor: 'a', field: 'nbytes', expected: '8 for U32 (2,)', got: '7' },
    ],
    ['a shape of minus one', ({ records }) => (records[0]!.records[0]!.shape = [-1]), { tensor: 'a', field: 'shape[0]', got: '-1' }],
    [
      'an absurd shape',
      ({ records }) => (records[0]!.records[0]!.shape = [2 ** 40, 2 ** 40]),
      { tensor: 'a', field: 'shape', expected: '2^53' },
    ],
    ['a negative place', ({ records }) => (records[0]!.records[0]!.byteOffset = -1), { tensor: 'a', field: 'byteOffset', got: '-1' }],
    [
      'a place past the end',
      ({ records }) => (records[0]!.records[0]!.byteOffset = 7),
      { tensor: 'a', field: 'byteOffset', expected: 'within the 14', got: '7' },
    ],
    [
      'an overlap',
      ({ records }) => (records[0]!.records[1]!.byteOffset = 6),
      { file: 'params_shard_0.bin', tensor: 'b', field: 'byteOffset', expected: 'where "a" ends' },
    ],
  ];
  test.each(cases)('%s', async (_, change, wanted) => {
    const index: Index = JSON.parse(new TextDecoder().decode(files.get(INDEX)));
    change(index);
    await expectFormatError(open(new Map<string, Uint8Array>(files).set(INDEX, utf8(JSON.stringify(index)))), wanted);
  });
});
