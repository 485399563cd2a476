// Error scopes around GPU work: what the GPU says of it becomes a typed error, and never an answer.
import { GpuError, UnsupportedError } from '../errors.js';

/** Rejects with what the GPU said; resolves when it has taken the work. */
export type Taken = Promise<void>;

export interface Guarded<T> {
  readonly result: T;
  readonly errors: Taken;
}

const quiet = (verdict: Taken): Taken => {
  verdict.catch(() => {}); // reported where the result is read
  return verdict;
};

/**
 * Makes GPU objects and submits work. `errors` rejects with an UnsupportedError if there was no memory, a GpuError if the GPU refused.
 * What `work` throws itself is thrown.
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
    // An object for which there is no memory is invalid in all that uses it.
    if (memory) throw new UnsupportedError(what, [`no GPU memory: ${memory.message}`]);
    if (invalid) throw new GpuError(what, invalid.message);
  });
  return { result, errors: quiet(errors) };
}

/** A submit of work whose objects are known to be sound: one scope, and nothing else, since this is on every call's path. */
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

/** Resolves when all have; rejects with the first of the list that does. Causes come before what follows from them. */
export const allTaken = (...list: readonly (Taken | undefined)[]): Taken =>
  quiet(
    (async () => {
      for (const one of list) await one;
    })(),
  );
