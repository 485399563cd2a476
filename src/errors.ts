// The errors of the library. A message always says what it is about, what was expected and what was met instead.

/** The caller's mistake: `argument`, what was `expected`, what was `got`. Thrown before any GPU work. */
export class ArgumentError extends Error {
  override readonly name = 'ArgumentError';
  constructor(
    readonly argument: string,
    readonly expected: string,
    readonly got: string,
  ) {
    super(`${argument}: expected ${expected}, got ${got}`);
  }
}

/** This device, adapter or browser cannot do it. `reasons` holds one sentence for each thing that stands in the way. */
export class UnsupportedError extends Error {
  override readonly name = 'UnsupportedError';
  readonly reasons: readonly string[];
  constructor(what: string, reasons: readonly string[]) {
    super(`${what}: ${reasons.join('; ')}`);
    this.reasons = reasons;
  }
}

/**
 * A shader of this library was refused by the browser's compiler (`messages` cite `shaders/file:line:column`), or gave a wrong result in
 * its self-test on this device: a bug here or there.
 */
export class ShaderError extends Error {
  override readonly name = 'ShaderError';
  constructor(
    readonly variant: string,
    readonly messages: readonly string[],
  ) {
    super(`${variant}: ${messages.join('\n')}`);
  }
}

/**
 * The GPU refused work: `what` it was, and what the browser `said`. The result does not exist: a buffer was destroyed, mapped or another
 * device's when the work was submitted, or was never made.
 */
export class GpuError extends Error {
  override readonly name = 'GpuError';
  constructor(
    readonly what: string,
    readonly said: string,
  ) {
    super(`${what}: expected work that the GPU takes, got: ${said}`);
  }
}

/** The GPUDevice is gone; nothing made on it can be used. Make a device again and load the layers again. */
export class DeviceLostError extends Error {
  override readonly name = 'DeviceLostError';
  constructor(reason: string, message: string) {
    super(`device: expected a live GPUDevice, got a lost one (${reason || 'unknown'}${message ? `: ${message.replace(/\.$/, '')}` : ''})`);
  }
}

/** Where in a file of weights something is wrong. */
export interface FileLocation {
  readonly file?: string | undefined;
  readonly tensor?: string | undefined;
  /** The header's, the tensor's or the configuration's own name for it. */
  readonly field: string;
}

/** A file of weights, or its tensors, are not what their format says: `file`, `tensor`, `field`, what was `expected`, what was `got`. */
export class FormatError extends Error {
  override readonly name = 'FormatError';
  readonly file: string | undefined;
  readonly tensor: string | undefined;
  readonly field: string;
  constructor(
    { file, tensor, field }: FileLocation,
    readonly expected: string,
    readonly got: string,
  ) {
    super(`${[file, tensor, field].filter(Boolean).join(': ')}: expected ${expected}, got ${got}`);
    this.file = file;
    this.tensor = tensor;
    this.field = field;
  }
}
