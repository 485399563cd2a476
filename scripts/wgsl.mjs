// Prints the WGSL of a variant: npm run wgsl -- matmul-rows BITS=4 X=0 …  Params that are not given take their first legal value.
import { runnerImport } from 'vite';
import { ensureModules, root } from './setup.mjs';

ensureModules();
const [name, ...assignments] = process.argv.slice(2);
const load = async (path) => (await runnerImport(path, { root, configFile: false, logLevel: 'error' })).module;
const { allVariants } = await load('/src/kernels/index.ts');
const { variantId } = await load('/src/kernels/kernel.ts');
const { variantText } = await load('/src/gpu/pipeline.ts');

const given = Object.fromEntries(assignments.map((text) => text.split('=')).map(([key, value]) => [key, Number(value)]));
const found = allVariants().find(
  ({ shader, params }) => shader.name === name && Object.entries(given).every(([key, value]) => params[key] === value),
);
if (!found) {
  console.error(`no variant of ${name ?? '(no name)'} with ${assignments.join(' ') || 'no params'}. Shaders and their params:`);
  const seen = new Map(allVariants().map(({ shader, params }) => [shader.name, Object.keys(params).join(' ')]));
  for (const [shader, params] of seen) console.error(`  ${shader}  ${params}`);
  process.exit(2);
}
console.error(`// ${variantId(name, found.params)}`);
process.stdout.write(variantText({ shader: name, params: found.params }).code);
process.exit(0);
