// The Deno program: naga (Firefox's compiler) must take every selected variant that a device without `subgroups` can use, and the cases of
// test/cases/engines.ts must pass. `vite build --mode deno` builds it, scripts/test.mjs starts it. Prints a line for each failure, then the
// counts, and writes the names to a given file.

import { capsOf } from '../src/gpu/device.js';
import { variantText } from '../src/gpu/pipeline.js';
import { requestDevice } from '../src/index.js';
import { variantId } from '../src/kernels/kernel.js';
import { runsOn } from './cases/cases.js';
import { casesOf } from './cases/engines.js';
import { llmTexts } from './cases/llm-variants.js';
import { matrixRunsOn } from './cases/matrix-cases.js';
import { runCase } from './cases/run-case.js';
import { runExpertCase } from './cases/run-experts.js';
import { runFormatCase, runNodeCase } from './cases/run-format.js';
import { runLlmCase } from './cases/run-llm.js';
import { runMatrixCase } from './cases/run-matrix.js';
import { shownVariants } from './cases/variants.js';

const device = await requestDevice(); // throws without an adapter: nothing passes on nothing
const caps = capsOf(device);
console.log(`deno: ${[device.adapterInfo?.vendor, device.adapterInfo?.description].join(' ')} ${JSON.stringify(caps)}`);

const names: string[] = [];
let passed = 0;
let failed = 0;
const note = (name: string, failures: readonly string[]): void => {
  names.push(name);
  if (failures.length === 0) passed++;
  else {
    failed++;
    console.log(`FAIL ${name}\n  ${failures.join('\n  ')}`);
  }
};

/** What a text may enable, and whether this device and naga know it. */
const EXTENSIONS: Readonly<Record<string, boolean>> = { f16: caps.f16 };

let compiled = 0;
const refused: string[] = [];
const texts = shownVariants().map(({ shader: { name: shader }, params }) => ({
  id: variantId(shader, params),
  code: variantText({ shader, params }).code,
}));
for (const { id, code } of [...texts, ...llmTexts()]) {
  const enabled = [...code.matchAll(/^enable (\w+);/gm)].map(([, extension]) => extension!);
  if (!enabled.every((extension) => EXTENSIONS[extension])) continue;
  device.pushErrorScope('validation');
  device.createShaderModule({ code });
  const error = await device.popErrorScope();
  compiled++;
  if (error) refused.push(`${id}: ${error.message}`);
}
note(`naga compiles ${compiled} variants`, refused.slice(0, 5));

const inTurn = async <T extends { readonly name: string }>(list: readonly T[], run: (c: T) => Promise<{ failures: readonly string[] }>) => {
  for (const c of list) {
    const report = await run(c).catch((error: Error) => ({ failures: [String(error.stack)] }));
    note(c.name, report.failures);
  }
};
const { numbers, matrices, experts, formats, nodes, models } = casesOf('deno');
await inTurn(
  numbers.filter((c) => runsOn(c, caps)),
  (c) => runCase(device, c),
);
await inTurn(
  matrices.filter((c) => matrixRunsOn(c, caps)),
  (c) => runMatrixCase(device, c),
);
await inTurn(
  experts.filter((c) => runsOn(c, caps)),
  (c) => runExpertCase(device, c),
);
await inTurn(models, (c) => runLlmCase(device, c));
await inTurn(formats, (c) => runFormatCase(device, c));
await inTurn(nodes, (c) => runNodeCase(device, c));
console.log(`${passed} passed, ${failed} failed`);
interface DenoGlobal {
  readonly args: readonly string[];
  writeTextFileSync(path: string, text: string): void;
  exit(code: number): never;
}
const { Deno } = globalThis as unknown as { readonly Deno: DenoGlobal };
if (Deno.args[0]) Deno.writeTextFileSync(Deno.args[0], JSON.stringify(names));
Deno.exit(failed > 0 ? 1 : 0);
