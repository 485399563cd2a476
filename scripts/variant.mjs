// Prints the WGSL of a variant, compiles it on Dawn and runs its self-test: npm run variant -- 'matmul-rows[BITS=4,…]'. The text goes to
// standard output, the verdict to standard error; ends with 1 if anything is wrong, 2 for an unknown id.
import { create, globals } from 'webgpu';
import { ensureVulkan } from './setup.mjs';
import { askedVariant, load } from './variant/asked.mjs';

const { check, findVariant } = await load('/scripts/variant/check.ts');
const variant = askedVariant(findVariant);
process.stdout.write(variant.code);
Object.assign(process.env, ensureVulkan().env);
Object.assign(globalThis, globals);
globalThis.dawn = create(['enable-dawn-features=allow_unsafe_apis']); // reachable for the life of the process: Dawn dies when it is collected
const { right, lines } = await check(globalThis.dawn, variant);
console.error([variant.id, ...lines].join('\n  '));
process.exit(right ? 0 : 1);
