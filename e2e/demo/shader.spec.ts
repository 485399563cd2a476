// The panel "What runs" on the built page. The library computes the expected plans here, in Node, from shapes and caps.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Locator, Page } from '@playwright/test';
import { runnerImport } from 'vite';
import type { Plan } from '../../src/plan/plan.js';
import type { Caps } from '../../src/problem/caps.js';
import type { ProblemSpec } from '../../test/support/problems.js';
import { cancelled, expect as plainExpect, test } from './fixture.js';

/** A change passes through the Worker, and a software adapter compiles on the same cores. */
const expect = plainExpect.configure({ timeout: 20_000 });

const root = join(import.meta.dirname, '../..');
const load = async <T>(path: string): Promise<T> =>
  (await runnerImport<T>(path, { root, configFile: false, logLevel: 'error', server: { watch: null } })).module;

interface Library {
  planOf(spec: ProblemSpec, caps: Caps, force?: { kernel: string; tile?: Record<string, number> }): Plan;
  textOf(shader: string, params: Record<string, number>): { code: string; places: readonly { file: string; line: number }[] };
  readonly devices: Readonly<Record<string, { readonly caps: Caps }>>;
}
let library: Library;
test.beforeAll(async () => {
  const { makePlan } = await load<typeof import('../../src/plan/plan.js')>('/src/plan/plan.ts');
  const { packedLayout } = await load<typeof import('../../src/plan/packed-layout.js')>('/src/plan/packed-layout.ts');
  const { problemOf, variantText } = await load<typeof import('../../test/support/problems.js')>('/test/support/problems.ts');
  const { DEVICES } = await load<typeof import('../../demo/panels/shader/jobs/devices.js')>('/demo/panels/shader/jobs/devices.ts');
  library = {
    planOf: (spec, caps, force) => {
      const { problem, operands } = problemOf(spec);
      return makePlan({ problem, packed: packedLayout(operands, caps), caps }, { force });
    },
    textOf: variantText,
    devices: DEVICES,
  };
});

/** What planning knows of the browser's device: the table on the page, less its commas. */
async function capsOf(panel: Locator): Promise<Caps> {
  const rows = await panel
    .getByRole('table', { name: 'This device' })
    .locator('tbody tr')
    .evaluateAll((list) => list.map((row) => [row.children[0]!.textContent!, row.children[1]!.textContent!] as const));
  const read = (text: string): unknown =>
    text === 'yes' ? true : text === 'no' ? false : text === 'none' ? [] : /^[\d,]+$/.test(text) ? Number(text.replaceAll(',', '')) : text;
  return Object.fromEntries(rows.map(([name, text]) => [name, read(text)])) as unknown as Caps;
}
const ready = async (panel: Locator, timeout = 60_000): Promise<void> => {
  await expect(panel.locator('.lines[data-coloured]')).toBeVisible({ timeout });
  await expect(panel.locator('section[data-shader] .notice.good')).toBeVisible({ timeout });
};
const kernelOf = (panel: Locator) => panel.locator('section[data-kernel]');

/** Every line in order, as it scrolls by: number, place, text. */
async function linesOf(panel: Locator): Promise<{ at: number; place: string; text: string }[]> {
  return panel.locator('.lines').evaluate(async (box) => {
    const found = new Map<number, { at: number; place: string; text: string }>();
    for (let top = 0; top <= box.scrollHeight; top += box.clientHeight / 2) {
      box.scrollTop = top;
      await new Promise((resolve) => setTimeout(resolve, 60));
      for (const row of box.querySelectorAll<HTMLElement>('.source-row')) {
        const at = Number(row.dataset.line);
        const text = [...row.childNodes]
          .slice(2)
          .map((node) => node.textContent)
          .join('');
        found.set(at, { at, place: row.dataset.place!, text: text.replace(/\n$/, '') });
      }
    }
    return [...found.values()].sort((a, b) => a.at - b.at);
  });
}

async function expectPlan(panel: Locator, plan: Plan): Promise<void> {
  await expect(kernelOf(panel)).toHaveAttribute('data-kernel', plan.kernel);
  const said = await kernelOf(panel).textContent();
  for (const { reason } of [plan.verdicts.at(-1)!, ...plan.asides]) expect(said).toContain(reason);
  const kernels = panel.locator('.kernels');
  for (const { kernel, reason } of plan.verdicts.slice(0, -1)) {
    const row = kernels.locator(`[data-name="${kernel}"] .kernel-reason`);
    expect((await row.textContent())!.toLowerCase()).toBe(`${reason}.`.toLowerCase());
  }
  await expect(kernels.locator('[data-state="runs"]')).toHaveAttribute('data-name', plan.kernel);
  const steps = panel.getByRole('list', { name: 'The call' }).getByRole('listitem');
  await expect(steps).toHaveCount(plan.dispatches.length);
  for (const [i, { shader, workgroups }] of plan.dispatches.entries()) {
    const [columns, rows] = workgroups.map((count) => count.toLocaleString('en'));
    await expect(steps.nth(i)).toContainText(`${shader}${rows === '1' ? columns : `${columns} × ${rows}`} workgroup`);
  }
}

test('the plan, its reasons, its dispatches and its text are the library’s', async ({ demo }) => {
  const panel = await demo.open('shader');
  await ready(panel);
  const plan = library.planOf({ m: 64, n: 256, k: 256, bits: 4, dtype: 'float16', group: 32, offset: true }, await capsOf(panel));
  await expectPlan(panel, plan);
  const { code, places } = library.textOf(plan.main.shader, plan.main.params);
  const lines = await linesOf(panel);
  expect(lines.map(({ text }) => text)).toEqual(code.split('\n').slice(0, places.length));
  expect(lines.map(({ place }) => place)).toEqual(places.map(({ file, line }) => `${file}:${line}`));
  // The place is right: each line that is not a param stands in shaders/ as it is.
  for (const { text, place } of lines) {
    const [file, from] = place.split(':') as [string, string];
    const source = readFileSync(join(root, 'shaders', file), 'utf8').split('\n')[Number(from) - 1]!;
    if (!/^\s*#/.test(source)) expect(source.trim()).toBe(text.trim());
    else expect(text).toMatch(/^(const [A-Z0-9_]+ = \d+u;|\{ const \w+ = \d+u;|\})/);
  }
  // Params and uniforms, with their values.
  for (const [name, value] of Object.entries(plan.main.params))
    await expect(
      panel.getByRole('table', { name: 'Params of the variant' }).getByRole('row', { name: new RegExp(`^${name}, line`) }),
    ).toContainText(`${name}${value}`);
  for (const [i, [name, value]] of Object.entries(plan.main.uniforms).entries()) {
    const row = panel
      .getByRole('table', { name: /^struct Params/ })
      .locator('tbody tr')
      .nth(i);
    await expect(row).toHaveText(`${name}u32${4 * i}4${(value >>> 0).toLocaleString('en')}`);
  }
  for (const [name, { buffer, offset, size }] of Object.entries(plan.main.bindings))
    await expect(
      panel.getByRole('table', { name: 'Bindings of group 0' }).getByRole('row', { name: new RegExp(` ${name}, line`) }),
    ).toContainText(`${buffer}${offset.toLocaleString('en')}${size.toLocaleString('en')}`);
});

test('every control of the product changes the plan as the library would', async ({ demo }) => {
  const { page } = demo;
  const panel = await demo.open('shader');
  await ready(panel);
  const caps = await capsOf(panel);
  let spec: ProblemSpec = { m: 64, n: 256, k: 256, bits: 4, dtype: 'float16', group: 32, offset: true };
  const fill = async (label: string, value: number): Promise<void> => {
    await panel.getByLabel(label).fill(String(value));
    await panel.getByLabel(label).press('Enter');
  };
  const changes: readonly (readonly [Partial<ProblemSpec>, () => Promise<unknown>, RegExp])[] = [
    [{ m: 1 }, () => fill('Rows of x (m)', 1), /[?&]m=1\b/],
    [{ k: 512 }, () => fill('Inputs (k)', 512), /k=512/],
    [{ n: 130 }, () => fill('Outputs (n)', 130), /n=130/],
    [{ group: 64 }, () => fill('k in a group', 64), /group=64/],
    [{ bits: 8 }, () => panel.getByRole('radio', { name: 'int8', exact: true }).check(), /bits=8/],
    [{ dtype: 'bfloat16' }, () => panel.getByRole('radio', { name: 'bfloat16' }).check(), /dtype=bfloat16/],
    [{ offset: false }, () => panel.getByLabel('offset', { exact: true }).uncheck(), /offset=0/],
    [{ quant: true }, () => panel.getByLabel('int8 output').check(), /int8=1/],
    [{ group: 0 }, () => panel.getByRole('radio', { name: 'per channel' }).check(), /mode=channel/],
    [{ innerPrecise: 1 }, () => panel.getByLabel('innerPrecise').selectOption('1: x may be rounded to int8'), /precise=1/],
    [{ m: 5 }, () => fill('Rows of x (m)', 5), /[?&]m=5\b/],
    [{ x: { offset: 0, batchRows: 5, strideB: 5 * 512, strideM: 1, strideK: 5 } }, () => panel.getByLabel('x transposed').check(), /xt=1/],
    [{ permuted: true }, () => panel.getByLabel(/act-order/).check(), /order=1/],
    [{ inputScaled: true }, () => panel.getByLabel('a scale for each input').check(), /scaled=1/],
    [{ minimum: true }, () => panel.getByLabel('A code is').selectOption('a number above a minimum (GGUF)'), /codes=minimum/],
  ];
  for (const [change, act, inUrl] of changes) {
    await act();
    spec = { ...spec, ...change };
    await expect(page).toHaveURL(inUrl);
    const plan = library.planOf(spec, caps);
    const { code, places } = library.textOf(plan.main.shader, plan.main.params);
    await expect(panel.locator('.source')).toContainText(`${places.length.toLocaleString('en')} lines of`);
    await expect.poll(() => panel.locator('section[data-kernel]').getAttribute('data-kernel')).toBe(plan.kernel);
    await expectPlan(panel, plan);
    expect(code).toContain('@compute');
  }
  // A codebook is of int4.
  await panel.getByRole('radio', { name: 'int4', exact: true }).check();
  await panel.getByLabel('A code is').selectOption('an index of 16 values (NF4)');
  await expectPlan(panel, library.planOf({ ...spec, bits: 4, minimum: false, codebook: 'table' }, caps));
  // All of it is in the URL.
  await page.waitForTimeout(300);
  const url = page.url();
  await page.reload();
  await ready(panel);
  await expectPlan(panel, library.planOf({ ...spec, bits: 4, minimum: false, codebook: 'table' }, caps));
  expect(page.url()).toBe(url);
});

test('what the layer would refuse is said in its words', async ({ demo }) => {
  const panel = await demo.open('shader', { k: 100, n: 256, mode: 'channel' });
  await expect(panel.getByRole('alert')).toContainText('K to be a multiple of 8 (eight int4 in an int32), not 100');
  await panel.getByLabel('Inputs (k)').fill('104');
  await panel.getByLabel('Inputs (k)').press('Enter');
  await ready(panel);
  await panel.getByLabel('Type of scales').selectOption('int64, packed');
  await expect(panel.getByRole('alert')).toContainText('int64 is for int8 weights only');
  await panel.getByRole('radio', { name: 'int8', exact: true }).check();
  await ready(panel);
  await expect(kernelOf(panel)).toBeVisible();
});

test('any kernel and tile can be asked for, and those that cannot run say why', async ({ demo }) => {
  test.slow();
  const { page } = demo;
  const panel = await demo.open('shader', { m: 1, k: 256, n: 256 });
  await ready(panel);
  const caps = await capsOf(panel);
  const spec: ProblemSpec = { m: 1, n: 256, k: 256, bits: 4, dtype: 'float16', group: 32, offset: true };
  await panel.getByRole('button', { name: 'Show matmul-tiled', exact: true }).click();
  await expect(page).toHaveURL(/kernel=matmul-tiled/);
  const forced = library.planOf(spec, caps, { kernel: 'matmul-tiled' });
  await expect(kernelOf(panel)).toHaveAttribute('data-kernel', 'matmul-tiled');
  await expect(kernelOf(panel)).toContainText(forced.verdicts.at(-1)!.reason);
  await expect(panel.locator('.source')).toHaveAttribute('data-variant', /^matmul-tiled\[/);

  const row = panel.locator('[data-name="matmul-tiled"]');
  await row.getByText('3 tiles').click();
  await row.getByRole('button', { name: 'Show matmul-tiled with ROWS=4' }).click();
  await expect(page).toHaveURL(/tile=ROWS%3D4/);
  await expect(panel.locator('.source')).toHaveAttribute('data-variant', /ROWS=4/);
  await page.reload();
  await ready(panel);
  await expect(panel.locator('.source')).toHaveAttribute('data-variant', /matmul-tiled.*ROWS=4/);

  await panel.getByRole('button', { name: 'Show matmul-subgroup-matrix', exact: true }).click();
  await expect(kernelOf(panel).or(panel.locator('.notice.bad')).first()).toContainText(/matmul-subgroup-matrix cannot run here/);
  await expect(panel.locator('.source')).toHaveAttribute('data-variant', /^matmul-subgroup-matrix\[/);
  await expect(panel.locator('.lines')).toContainText('subgroupMatrixMultiplyAccumulate');
  await expect(panel).toContainText('Dispatchednot at all');
  await expect(panel.locator('.compile .job-problem')).toContainText('lacks shader-f16', { timeout: 30_000 });
  await demo.axe();
  await panel.getByRole('button', { name: 'Back to the planner’s choice' }).click();
  await expectPlan(panel, library.planOf(spec, caps));
  await expect(page).not.toHaveURL(/kernel=/);
});

test('every dispatch can be looked at, of the call and of the load', async ({ demo }) => {
  const { page } = demo;
  const panel = await demo.open('shader', { m: 5, n: 130, k: 256, xt: 1, bias: 1, int8: 1 });
  await ready(panel);
  const call = panel.getByRole('list', { name: 'The call' });
  for (const shader of ['gather-rows', 'round-rows']) {
    await call.getByRole('button', { name: shader }).click();
    await expect(panel.locator('.source')).toHaveAttribute('data-variant', new RegExp(`^${shader}\\[`));
    await expect(panel.locator('section[data-shader]')).toHaveAttribute('data-shader', shader);
    await ready(panel);
  }
  await panel.getByText(/^Before, once/).click();
  const list = panel.getByRole('list', { name: 'The load' });
  await expect(list).toContainText('repack-quant');
  await list.getByRole('button', { name: 'repack-quant' }).click();
  await expect(page).toHaveURL(/step=load-4/);
  await expect(panel.locator('.source')).toHaveAttribute('data-variant', /^repack-quant\[/);
  await page.reload();
  await ready(panel);
  await expect(panel.locator('.source')).toHaveAttribute('data-variant', /^repack-quant\[/);
});

const marked = (page: Page) => page.locator('.source-row[data-marked]');

test('lines are linked, functions are found, the text is copied and saved', async ({ demo, context }) => {
  const { page } = demo;
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  const panel = await demo.open('shader', { device: 'nvidia', line: 200 });
  await ready(panel);
  const plan = library.planOf({ m: 64, n: 256, k: 256, bits: 4, dtype: 'float16', group: 32, offset: true }, library.devices.nvidia!.caps);
  const { code, places } = library.textOf(plan.main.shader, plan.main.params);
  const place = (at: number): string => `shaders/${places[at - 1]!.file}:${places[at - 1]!.line}`;
  await expect(marked(page)).toHaveAttribute('data-line', '200');
  await expect(marked(page)).toBeInViewport();
  await expect(panel.locator('.source-line')).toContainText(`Line 200 is ${place(200)}.`);

  await panel.getByRole('navigation', { name: 'Functions of the text' }).getByRole('button', { name: 'main', exact: true }).click();
  const main = code.split('\n').findIndex((text) => text.startsWith('fn main(')) + 1;
  await expect(marked(page)).toHaveAttribute('data-line', String(main));
  await expect(marked(page)).toBeInViewport();
  await expect(page).toHaveURL(new RegExp(`line=${main}\\b`));
  await panel.getByLabel('Line', { exact: true }).fill('7');
  await panel.getByLabel('Line', { exact: true }).press('Enter');
  await expect(marked(page)).toHaveAttribute('data-line', '7');
  await panel.locator('.source-row[data-line="9"] a').click();
  await expect(marked(page)).toHaveAttribute('data-line', '9');
  expect(await panel.locator('.source-row[data-line="9"] a').getAttribute('href')).toContain('device=nvidia');

  await panel.getByRole('button', { name: 'Copy a link to it' }).click();
  const link = await page.evaluate(() => navigator.clipboard.readText());
  await page.goto(link);
  await expect(marked(page)).toHaveAttribute('data-line', '9');
  await panel.getByRole('button', { name: 'Copy the text' }).click();
  await expect(panel.locator('.source-tools')).toContainText('Copied');
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(code);
  const saving = page.waitForEvent('download');
  await panel.getByRole('button', { name: 'Download .wgsl' }).click();
  const saved = await saving;
  expect(saved.suggestedFilename()).toMatch(/^matmul-\w+-.*\.wgsl$/);
  expect(readFileSync(await saved.path(), 'utf8')).toBe(code);
  // Another text has other lines.
  await panel.getByRole('radio', { name: 'float32' }).check();
  await expect(page).not.toHaveURL(/line=/);
});

test('other devices get the plans that the library makes for them', async ({ demo }) => {
  test.slow();
  const { page } = demo;
  const panel = await demo.open('shader', { m: 1, k: 4096, n: 4096 });
  await ready(panel);
  for (const [name, { caps }] of Object.entries(library.devices)) {
    await panel.getByLabel('Device of the plan').selectOption(name);
    await expect(page).toHaveURL(new RegExp(`device=${name}`));
    const plan = library.planOf({ m: 1, n: 4096, k: 4096, bits: 4, dtype: 'float16', group: 32, offset: true }, caps);
    await expect(panel.getByRole('table', { name: /^As if on/ })).toBeVisible();
    await expect.poll(() => panel.locator('.kernels [data-state="runs"]').getAttribute('data-name')).toBe(plan.kernel);
    await expect(panel.locator('.source')).toHaveAttribute('data-variant', new RegExp(`^${plan.main.shader}\\[`));
    await expectPlan(panel, plan);
  }
  await demo.axe();
});

test('compile times are measured here, cold and warm, again and not to the end', async ({ demo }) => {
  const panel = await demo.open('shader', { kernel: 'matmul-plain' });
  const times = panel.locator('[data-compiled^="matmul-plain"]');
  await expect(times).toContainText(/Cold[\d.,]+ (ms|µs)median of 3, .* to .*; reading and checking the text .* the pipeline/, {
    timeout: 60_000,
  });
  await expect(times).toContainText(/Warm[\d.,]+ (ms|µs)median of 3/);
  await expect(times).toContainText('a software adapter');
  await cancelled(panel, () => panel.getByRole('button', { name: 'Measure again' }).click());
  await expect(panel).toContainText('Cancelled.');
  await panel.getByRole('button', { name: 'Measure again' }).click();
  await expect(panel.getByRole('button', { name: 'Measure again' })).toBeEnabled({ timeout: 60_000 });
  await demo.loseDevice();
  await panel.getByRole('radio', { name: 'float32' }).check();
  await expect(panel.locator('.source')).toHaveAttribute('data-variant', /X=0/);
  await expect(panel.locator('[data-compiled*="X=0"]')).toContainText('Cold', { timeout: 60_000 });
});

test('the device’s features and limits are the browser’s', async ({ demo }) => {
  test.slow();
  const { page } = demo;
  const panel = await demo.open('shader');
  await ready(panel);
  await panel.getByText(/^All that the browser tells/).click();
  const table = panel.getByRole('table', { name: /^Limits of the device/ });
  const want = await page.evaluate(async () => {
    const { limits } = (await navigator.gpu.requestAdapter())!;
    return [limits.maxBufferSize, limits.maxStorageBufferBindingSize, limits.maxComputeWorkgroupStorageSize].map((value) =>
      value.toLocaleString('en'),
    );
  });
  for (const [i, name] of ['maxBufferSize', 'maxStorageBufferBindingSize', 'maxComputeWorkgroupStorageSize'].entries())
    await expect(table.getByRole('row', { name: new RegExp(`^${name} `) })).toContainText(want[i]!);
  await demo.axe();
});

test('a link to the panel “Operator” says all of the product', async ({ demo }) => {
  const panel = await demo.open('shader', { m: 3, n: 128, dtype: 'float32' });
  const link = panel.getByRole('link', { name: /Operator/ });
  const query = new URLSearchParams((await link.getAttribute('href'))!);
  expect(Object.fromEntries(query)).toMatchObject({
    panel: 'operator',
    m: '3',
    n: '128',
    k: '256',
    bits: '4',
    mode: 'group',
    group: '32',
    dtype: 'float32',
    offset: '1',
  });
  await panel.getByLabel('Inputs (k)').fill('65536');
  await panel.getByLabel('Inputs (k)').press('Enter');
  await expect(link).toHaveCount(0);
});

for (const gpu of ['none', 'no-adapter'] as const) {
  test.describe(`with gpu: ${gpu}`, () => {
    test.use({ gpu, serviceWorkers: 'block' });
    test('plans and texts are shown for a device that was chosen', async ({ demo }) => {
      test.slow();
      const panel = await demo.open('shader', { m: 1 });
      await ready(panel);
      const spec: ProblemSpec = { m: 1, n: 256, k: 256, bits: 4, dtype: 'float16', group: 32, offset: true };
      await expect(panel).toContainText('Without a GPU here');
      await expectPlan(panel, library.planOf(spec, library.devices.least!.caps));
      await expect(panel).toContainText('There is no GPU here to compile for.');
      await panel.getByLabel('Device of the plan').selectOption('amd');
      await expect(panel.locator('.source')).toHaveAttribute('data-variant', /^matmul-decode\[/);
      await expectPlan(panel, library.planOf(spec, library.devices.amd!.caps));
      if (gpu === 'none') await demo.screenshots('shader-no-gpu');
    });
  });
}

test('axe finds nothing and nothing is too wide, in both themes', async ({ demo }) => {
  test.slow();
  const panel = await demo.open('shader', { m: 1, line: 30 });
  await ready(panel);
  await expect(panel.locator('[data-compiled]')).toContainText('Cold', { timeout: 60_000 });
  await demo.screenshots('shader');
});
