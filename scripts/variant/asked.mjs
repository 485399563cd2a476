// The variant that a command is asked for by its id.
import { runnerImport } from 'vite';
import { ensureModules, root } from '../setup.mjs';

/** A module of TypeScript; all that it imports shares its state. */
export async function load(path) {
  ensureModules();
  return (await runnerImport(path, { root, configFile: false, logLevel: 'error' })).module;
}

/** The variant of the first argument; without one, says which are like it and ends. */
export function askedVariant(findVariant) {
  const [id = '', ...more] = process.argv.slice(2);
  const found = findVariant(id);
  if (!Array.isArray(found) && more.length === 0) return found;
  const near = Array.isArray(found) ? found : [id];
  console.error(
    `expected the id of one variant, in quotes, got '${[id, ...more].join(' ')}'. Like it:\n${near.map((one) => `  '${one}'`).join('\n')}`,
  );
  process.exit(2);
}
