// Arguments, help, exit codes, and text output.
import { expect, test } from 'vitest';
import { merged } from '../../../cli/inspect-text.js';
import { barText, progress } from '../../../cli/progress.js';
import { bytesText, plain, shorten, table, withoutNumbers } from '../../../cli/text.js';
import { VERSION } from '../../../src/version.js';
import { call, folder, putModel, widest } from '../../support/call-cli.js';

const at = folder();

test('help of everything fits 80 columns, names every option, and ends with 0', async () => {
  for (const argv of [
    ['--help'],
    ['inspect', '--help'],
    ['quantize', '--help'],
    ['verify', '--help'],
    ['run', '--help'],
    ['bench-llm', '--help'],
    ['doctor', '--help'],
  ]) {
    const { code, out, err } = await call(argv);
    expect([code, err]).toEqual([0, '']);
    expect(widest(out)).toBeLessThanOrEqual(80);
  }
  const { out } = await call(['quantize', '--help']);
  for (const name of [
    'bits',
    'group',
    'symmetric',
    'method',
    'scheme',
    'dtype',
    'include',
    'exclude',
    'shard-bytes',
    'activations',
    'force',
  ])
    expect(out).toContain(`--${name}`);
  const run = (await call(['run', '--help'])).out;
  for (const name of ['temp', 'seed', 'top-k', 'top-p', 'min-p', 'repeat-penalty']) expect(run).toContain(`--${name} `);
  expect((await call(['--version'])).out).toBe(`${VERSION}\n`);
});

test.each([
  [[], /expected a command: inspect, quantize, verify, run/],
  [['inspekt'], /inspekt: expected inspect, quantize, verify, run, bench-llm, doctor; did you mean inspect\?/],
  [['xyz'], /xyz: expected inspect, quantize, verify, run, bench-llm, doctor\n?$/],
  [['inspect'], /expected FILE, got nothing/],
  [['inspect', 'a', 'b'], /expected FILE, got a b/],
  [['inspect', '--nonsense', 'a'], /Unknown option '--nonsense'\n?$/],
  [['quantize', 'a', 'b', '--grup', '64'], /Unknown option '--grup'; did you mean --group\?/],
  [['inspect', 'a', '--header', 'token'], /--header: expected 'NAME: VALUE', got one without a name or a colon/],
  [
    ['inspect', 'http://localhost/a', '--header', 'a b: secret'],
    /--header: expected a name and a value that HTTP allows, got others for a b\n?$/,
  ],
  [['inspect', 'http://localhost/a', '--header', 'Range: bytes=0-1'], /--header: expected another than Range/],
  [['doctor', 'a'], /doctor: expected no argument, got a/],
  [['inspect', 'no-such-file'], /no-such-file: no such file or folder/],
  [['quantize', 'a'], /expected IN OUT, got a/],
  [['quantize', 'a', 'b', '--bits', '5'], /--bits: expected 4 or 8, got 5/],
  [['quantize', 'a', 'b', '--group', '48'], /--group: expected 0 or a multiple of 32, or auto, got 48/],
  [['quantize', 'a', 'b', '--group', 'x'], /--group: expected a whole number/],
  [['quantize', 'a', 'b', '--symmetric', '--asymmetric'], /expected one of them, got both/],
  [['quantize', 'a', 'b', '--method', 'hqq'], /expected --scheme torch_npu/],
  [['quantize', 'a', 'b', '--method', 'hqq', '--scheme', 'torch_npu', '--symmetric'], /expected --asymmetric/],
  [['quantize', 'a', 'b.safetensors', '--shard-bytes', '1G'], /expected a folder as OUT/],
  [['quantize', 'a', 'b', '--include', '('], /--include: expected a regular expression, got \(/],
  [['verify', 'a', '--rows', '0'], /--rows: expected a whole number of at least 1, got 0/],
  [['run'], /expected \[MODEL\] PROMPT, got nothing/],
  [['run', 'a', 'b', 'c'], /expected \[MODEL\] PROMPT, got a b c/],
  [['run', 'a.gguf'], /expected PROMPT after a\.gguf/],
  [['run', 'a', 'b', '--temp=-1'], /--temp: expected a number of at least 0, got -1/],
  [['run', 'a', 'b', '--temp', 'warm'], /--temp: expected a number of at least 0, got warm/],
  [['run', 'a', 'b', '--top-k', '0'], /--top-k: expected a whole number of at least 1, got 0/],
  [['run', 'a', 'b', '--top-p', '1.5'], /--top-p: expected a number from 0 to 1, got 1.5/],
  [['run', 'a', 'b', '--min-p', ''], /--min-p: expected a number from 0 to 1, got /],
  [['run', 'a', 'b', '--repeat-penalty', '0'], /--repeat-penalty: expected a number above 0, got 0/],
  [['run', 'a', 'b', '--max-tokens', 'x'], /--max-tokens: expected a whole number/],
  [['run', 'a', 'b', '--kv', 'q4'], /--kv: expected f16 or f32 or q8, got q4/],
])('%j is wrong usage', async (argv, message) => {
  const { code, out, err } = await call(argv);
  expect([code, out]).toEqual([2, '']);
  expect(err).toMatch(message);
  expect(err).toMatch(/^antiquant: .*\n$/);
  const json = (await call([...argv, '--json'])).json();
  expect(json.error).toMatchObject({ name: 'UsageError', exitCode: 2 });
  expect(json.error.message).toMatch(message);
});

test('a stopped command says so', async () => {
  const controller = new AbortController();
  controller.abort(new DOMException('stopped', 'AbortError'));
  const { code, err } = await call(['inspect', putModel(at('stopped.safetensors'))], { signal: controller.signal });
  expect(code).toBe(130);
  expect(err).toContain('stopped');
});

test('bytes have three digits', () => {
  expect([0, 999, 1000, 1234, 12345, 999_499, 999_500, 4.2e9].map(bytesText)).toEqual([
    '0 B',
    '999 B',
    '1.00 kB',
    '1.23 kB',
    '12.3 kB',
    '999 kB',
    '1.00 MB',
    '4.20 GB',
  ]);
});

test('tables keep their width by shortening what may be', () => {
  const columns = [
    { title: 'name', align: 'left', flexible: true },
    { title: 'size', align: 'right' },
  ] as const;
  expect(table(columns, [['a', '10']], { width: 80 })).toBe('name  size\na       10\n');
  const text = table(columns, [['model.layers.10.self_attn.q_proj.weight', '123456']], { width: 30 });
  expect(widest(text)).toBe(30);
  expect(shorten('abcdefghijkl', 7)).toBe('ab…ijkl');
});

test('names that differ in numbers share a line, and others do not', () => {
  expect(withoutNumbers('model.layers.12.experts.3.w1')).toBe('model.layers.*.experts.*.w1');
  expect(withoutNumbers('blk.0.attn_q2')).toBe('blk.*.attn_q2');
  const rows = ['a.0.w', 'a.1.w', 'b.0.w'].map((name) => ({ name, shape: '2 × 2', bytes: 4 }));
  expect(merged([...rows, { name: 'a.2.w', shape: '2 × 3', bytes: 6 }])).toEqual([
    { name: 'a.*.w', shape: '2 × 2', bytes: 8, times: 2 },
    { name: 'b.0.w', shape: '2 × 2', bytes: 4, times: 1 },
    { name: 'a.2.w', shape: '2 × 3', bytes: 6, times: 1 },
  ]);
});

test('a name of a file cannot command a terminal', () => {
  expect(plain('a\u001b[2Jb\nc\u202e')).toBe('a�[2Jb�c�');
});

test('progress: a line for each tenth, or one that is drawn again', () => {
  let clock = 0;
  const draw = (live: boolean): string => {
    let text = '';
    const bar = progress(
      1000,
      {
        live,
        columns: 80,
        err: (part) => {
          text += part;
        },
      },
      () => (clock += 10),
    );
    for (let i = 0; i < 100; i++) bar.add(10, `layer ${i}`);
    bar.end();
    return text;
  };
  const lines = draw(false).trimEnd().split('\n');
  expect(lines).toHaveLength(10);
  expect(lines[0]).toMatch(/^10%, 100 B of 1.00 kB, .*, layer 9$/);
  const drawn = draw(true);
  expect(drawn.split('\r').length).toBeLessThan(25); // not a hundred times
  expect(drawn).toContain('100%');
  expect(drawn.endsWith('\r\u001b[K')).toBe(true);
  expect(barText(1, 3, { seconds: 1, what: 'a'.repeat(100), width: 80 }).length).toBeLessThan(80);
});
