// Optional peer dependencies. They are imported when a text is first given, so that `generate(ids)` needs none.
import { UnsupportedError } from '../errors.js';

/**
 * The module that `load` imports.
 * @throws UnsupportedError that names the package to install
 */
export async function peer<T>(name: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    const said = cause instanceof Error ? cause.message : String(cause);
    const error = new UnsupportedError(name, [`it cannot be imported: install it by \`npm install ${name}\``, said]);
    error.cause = cause;
    throw error;
  }
}
