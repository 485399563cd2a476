// Mutated files of every container give a TensorFile whose tensors lie inside their files, or a FormatError. No other error is thrown, and
// no byte outside the files is read.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FormatError } from '../../../src/errors.js';
import { openModel } from '../../../src/files/open-file.js';
import { ELEMENT_BYTES } from '../../../src/files/raw-tensor.js';
import type { TensorFile, TensorInfo } from '../../../src/files/tensor-file.js';
import {
  type Asked,
  concat,
  counting,
  type GgufValue,
  ggmlType,
  type MadeTensor,
  makeGguf,
  makeMlc,
  makeSafetensors,
  makeShards,
  utf8,
} from '../../support/files.js';
import { MUTATIONS, place } from '../../support/mutate.js';

/** Files by name; the first is opened. */
type Model = ReadonlyMap<string, Uint8Array>;
/** Of each property: a slice, or with ANTIQUANT_ALL more than 10^5 files together. RUNS=100000 SEED=2 asks for more, and for others. */
const numRuns = Number(process.env.RUNS ?? (process.env.ANTIQUANT_ALL ? 4000 : 300));
const seed = Number(process.env.SEED ?? 1);

const GGML = ['F32', 'F16', 'Q4_0', 'Q8_0', 'I8', 'MXFP4'];
const name = fc.oneof(
  fc.constantFrom('a', 'blk.0.attn_q.weight', '__proto__', '10', '9', 'ß'),
  fc.string({ minLength: 1, maxLength: 12, unit: 'grapheme' }),
);
/** Often the same, so that one tensor's place would do for another. */
const size = fc.constantFrom(0, 1, 2, 2, 2, 3);
const tensorsOf = (dtypes: readonly string[]): fc.Arbitrary<MadeTensor[]> =>
  fc
    .uniqueArray(
      fc.record({
        name,
        dtype: fc.constantFrom(...dtypes),
        rows: size,
        columns: size,
        flat: fc.boolean(),
      }),
      { selector: (tensor) => tensor.name, maxLength: 4, size: 'max' },
    )
    .map((list) =>
      list.map(({ name, dtype, rows, columns, flat }) => {
        const [elements, bytes] = GGML.includes(dtype) ? (ggmlType(dtype).slice(1) as [number, number]) : [1, ELEMENT_BYTES[dtype]!];
        const count = flat ? 1 : rows;
        const shape = flat ? [columns * elements] : [rows, columns * elements];
        return { name, dtype, shape, bytes: new Uint8Array(count * columns * bytes).fill(7) };
      }),
    );
const apart = (tensors: MadeTensor[]): MadeTensor[][] =>
  [tensors.filter((_, i) => i % 2 === 0), tensors.filter((_, i) => i % 2 === 1)].filter((part) => part.length);

const nested: GgufValue = [
  'ARRAY',
  [
    'ARRAY',
    [
      ['UINT8', [1]],
      ['STRING', ['x', 'y']],
    ],
  ],
];
/** So long that it is walked and not kept. */
const long: GgufValue = ['ARRAY', ['STRING', Array(1030).fill('w')]];
const value: fc.Arbitrary<GgufValue> = fc.oneof(
  { weight: 9, arbitrary: fc.constantFrom<GgufValue>(['UINT8', 1], ['BOOL', 1], ['FLOAT32', 0.5], ['UINT64', 5], ['INT16', -3], nested) },
  { weight: 9, arbitrary: fc.string().map((text): GgufValue => ['STRING', text]) },
  { weight: 9, arbitrary: fc.array(fc.string({ maxLength: 3 }), { maxLength: 5 }).map((list): GgufValue => ['ARRAY', ['STRING', list]]) },
  { weight: 1, arbitrary: fc.constant(long) },
);
const keys = fc.uniqueArray(fc.tuple(fc.string({ minLength: 1, maxLength: 8 }), value), { selector: ([key]) => key, maxLength: 4 });
const SAFE = ['F32', 'F16', 'I8', 'U8', 'I64', 'BF16'];
const MODELS: Record<string, fc.Arbitrary<Model>> = {
  safetensors: tensorsOf(SAFE).map((tensors) => new Map([['m', makeSafetensors(tensors, { format: 'pt' })]])),
  'safetensors in shards': tensorsOf(SAFE).map((tensors) => makeShards(apart(tensors))),
  gguf: fc
    .tuple(tensorsOf(GGML), keys, fc.constantFrom(2, 3), fc.constantFrom(undefined, 8, 64))
    .map(
      ([tensors, metadata, version, alignment]) =>
        new Map([['m', makeGguf(tensors, { metadata, version, ...(alignment && { alignment }) })]]),
    ),
  'gguf in parts': tensorsOf(GGML).map((tensors) => {
    const parts = apart(tensors);
    const of = String(parts.length).padStart(5, '0');
    return new Map(
      (parts.length ? parts : [[]]).map((part, i) => [
        parts.length ? `m-${String(i + 1).padStart(5, '0')}-of-${of}.gguf` : 'm',
        makeGguf(part, {
          metadata: [
            ['split.no', ['UINT16', i]],
            ['split.count', ['UINT16', Math.max(1, parts.length)]],
            ['split.tensors.count', ['INT32', tensors.length]],
          ],
        }),
      ]),
    );
  }),
  mlc: tensorsOf(['F32', 'F16', 'U32', 'BF16', 'I8']).map((tensors) => makeMlc(apart(tensors))),
};

interface Outcome {
  readonly file?: TensorFile;
  readonly error?: unknown;
}

async function open(model: Model): Promise<Outcome> {
  const asked: Asked = { bytes: 0, reads: 0, largest: 0 };
  const resolve = (shard: string) => {
    const bytes = model.get(shard);
    if (!bytes) throw new FormatError({ file: shard, field: 'file' }, 'a file', 'none');
    return counting(bytes, shard, asked);
  };
  const [first] = model.keys();
  const outcome = await openModel(resolve(first!), { resolve }).then(
    (file): Outcome => ({ file }),
    (error: unknown): Outcome => ({ error }),
  );
  const size = [...model.values()].reduce((sum, bytes) => sum + bytes.length, 0);
  expect(asked.bytes).toBeLessThanOrEqual(size + 64); // openModel's look at the first bytes
  expect(asked.reads).toBeLessThanOrEqual(3 * model.size + 3);
  return outcome;
}

/** What a dtype can turn into, of those that are only told about. */
const RARE: Readonly<Record<string, number>> = { C64: 8, F4: 0.5 };

/** Every tensor lies in its file, has the bytes of its shape, and none shares a byte with another. */
function checkFile({ kind, tensors }: TensorFile): void {
  const bySource = new Map<string, TensorInfo[]>();
  for (const [name, info] of tensors) {
    const { shape, begin, end, source, dtype } = info;
    const whole = shape.every((size) => Number.isSafeInteger(size) && size >= 0);
    if (info.name !== name || !whole) throw new Error(`shape of ${name}: ${shape}`);
    const inside = Number.isSafeInteger(begin) && begin >= 0 && begin <= end && end <= source.size;
    if (!inside) throw new Error(`place of ${name}: ${begin} to ${end} of ${source.size}`);
    const [, elements, bytes] = kind === 'gguf' ? ggmlType(dtype) : [0, 1, ELEMENT_BYTES[dtype] ?? RARE[dtype]!];
    const count = shape.reduce((a, b) => a * b, 1);
    if ((count / elements) * bytes !== end - begin) throw new Error(`bytes of ${name}: ${dtype} (${shape}) in ${end - begin}`);
    bySource.set(source.name, [...(bySource.get(source.name) ?? []), info]);
  }
  for (const infos of bySource.values())
    for (const [i, one] of infos.entries())
      for (const two of infos.slice(i + 1))
        if (Math.max(one.begin, two.begin) < Math.min(one.end, two.end)) throw new Error(`${one.name} and ${two.name} overlap`);
}

describe.each(Object.entries(MODELS))('%s', (what, models) => {
  test('whole files open', async () => {
    await fc.assert(
      fc.asyncProperty(models, async (model) => {
        const { file, error } = await open(model);
        if (!file) throw error;
        checkFile(file);
      }),
      { numRuns: 200, seed },
    );
  });

  const ways = Object.entries(MUTATIONS).filter(([how]) => how !== 'JSON spliced' || !what.startsWith('gguf'));
  test.each(ways)(
    '%s',
    async (how, mutation) => {
      const count = { opened: 0, refused: 0 };
      await fc.assert(
        fc.asyncProperty(models, mutation, place, async (model, mutate, which) => {
          const victim = [...model.keys()][Math.floor(which * model.size)]!;
          const mutated = new Map(model).set(victim, mutate(model.get(victim)!));
          const { file, error } = await open(mutated);
          if (file) checkFile(file);
          else if (!(error instanceof FormatError) || error.message.length > 1000) throw error;
          count[file ? 'opened' : 'refused']++;
        }),
        { numRuns, seed },
      );
      // Both ways are taken: nothing is refused unread, nor opened unchecked.
      if (how === 'several of these') expect(Math.min(count.opened, count.refused)).toBeGreaterThan(numRuns / 200);
      if (process.env.RUNS) console.log(what, how, count);
    },
    120_000,
  );
});

test('bytes of no format at all', async () => {
  const starts = ['', 'GGUF\u0003\0\0\0', '{', '{"weight_map":', '{"records":[', '\u0010\0\0\0\0\0\0\0{'].map(utf8);
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...starts), fc.uint8Array({ maxLength: 200 }), async (start, rest) => {
      const { error } = await open(new Map([['m', concat([start, rest])]]));
      if (error !== undefined && !(error instanceof FormatError)) throw error;
    }),
    { numRuns, seed },
  );
});
