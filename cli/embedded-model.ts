// The language model that comes with the package (models/README.md): what `run` takes where no other is named.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { UnsupportedError } from '../src/formats.js';

// Behind a name, so that bundlers make no asset of it.
const here = import.meta.url;
/** From cli/, and from dist/cli/. */
const PLACES = ['../models/kjv.gguf', '../../models/kjv.gguf'];

/** Its path. @throws UnsupportedError where the package was copied without it */
export function embeddedModel(): string {
  const found = PLACES.map((path) => fileURLToPath(new URL(path, here))).find(existsSync);
  if (!found) throw new UnsupportedError('run without MODEL', ["the package's models/kjv.gguf is not beside it"]);
  return found;
}
