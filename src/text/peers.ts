// Optional peer dependencies. They are imported when a text is first given, so that `generate(ids)` needs none. Each import stands in a try of
// its own: webpack and esbuild then bundle pages that have not installed the package.
import { UnsupportedError } from '../errors.js';

function missing(name: string, cause: unknown): UnsupportedError {
  const said = cause instanceof Error ? cause.message : String(cause);
  const error = new UnsupportedError(name, [`it cannot be imported: install it by \`npm install ${name}\``, said]);
  error.cause = cause;
  return error;
}

/** @throws UnsupportedError that names the package to install */
export async function importJinja() {
  try {
    return await import('@huggingface/jinja');
  } catch (cause) {
    throw missing('@huggingface/jinja', cause);
  }
}

/** @throws UnsupportedError that names the package to install */
export async function importTokenizers() {
  try {
    return await import('@huggingface/tokenizers');
  } catch (cause) {
    throw missing('@huggingface/tokenizers', cause);
  }
}
