// Error scopes around GPU work: an error of the GPU becomes a typed error.
import { GpuError, UnsupportedError } from '../errors.js';

/** Resolves when the GPU has taken the work; rejects with a typed error if it refused. */
export type Taken = Promise<void>;

export interface Guarded<T> {
  readonly result: T;
  readonly errors: Taken;
}

/** A promise whose rejection is no unhandled one. `allTaken` waits for one after the other, and may end before it comes to the last. */
export const quiet = (verdict: Taken): Taken => {
  verdict.catch(() => {}); // reported where the result is read
  return verdict;
};

/**
 * Runs `work`, which makes GPU objects and submits. `errors` rejects with an UnsupportedError if there was no memory, with a GpuError if
 * the GPU refused. An exception of `work` is passed on.
 * @param what names the work in errors
 */
export function guarded<T>(device: GPUDevice, what: string, work: () => T): Guarded<T> {
  device.pushErrorScope('out-of-memory');
  device.pushErrorScope('validation');
  let scopes: Promise<[GPUError | null, GPUError | null]>;
  let result: T;
  try {
    result = work();
  } finally {
    scopes = Promise.all([device.popErrorScope(), device.popErrorScope()]);
    scopes.catch(() => {}); // of a lost device, which every wait on it reports
  }
  const errors = scopes.then(([invalid, memory]) => {
    // An object without memory also makes everything that uses it invalid: memory is the cause.
    if (memory) throw new UnsupportedError(what, [`no GPU memory: ${memory.message}`]);
    if (invalid) throw new GpuError(what, invalid.message);
  });
  return { result, errors: quiet(errors) };
}

/** Submits work whose objects were checked before. It opens one scope only, since every call runs it. */
export function guardedSubmit(device: GPUDevice, what: string, submit: () => void): Taken {
  device.pushErrorScope('validation');
  let scope: Promise<GPUError | null>;
  try {
    submit();
  } finally {
    scope = device.popErrorScope();
  }
  return quiet(
    scope.then((invalid) => {
      if (invalid) throw new GpuError(what, invalid.message);
    }),
  );
}

/** Resolves when all have. Rejects with the first of the list that rejects: list causes before their effects. */
export const allTaken = (...list: readonly (Taken | undefined)[]): Taken =>
  quiet(
    (async () => {
      for (const one of list) await one;
    })(),
  );
