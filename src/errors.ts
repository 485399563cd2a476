// The errors of the library. A message says the name, what was expected and what was got. Fields hold names unchanged; messages hold no
// control characters, which could command a terminal.
//
// Each class has a constant `errorCode`, which is the same in every copy of the library and in what a Worker sends, where `instanceof` is not.
// It is not named `code`, since that of a ReadError is the system's, as Node's errors have it. docs/errors.md explains each.

/** Replaces control characters, line ends and marks of direction in a text by U+FFFD. */
export const printable = (text: string): string => text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, '\ufffd');

/** The caller's mistake: the `argument`, what was `expected` and what was `got`. Thrown before any GPU work. */
export class ArgumentError extends Error {
  override readonly name = 'ArgumentError';
  readonly errorCode = 'ANTIQUANT_ARGUMENT';
  constructor(
    readonly argument: string,
    readonly expected: string,
    readonly got: string,
  ) {
    super(printable(`${argument}: expected ${expected}, got ${got}`));
  }
}

/** This device, adapter or browser cannot do it, or has no memory for it. `reasons` holds a sentence for each obstacle. */
export class UnsupportedError extends Error {
  override readonly name = 'UnsupportedError';
  readonly errorCode = 'ANTIQUANT_UNSUPPORTED';
  readonly reasons: readonly string[];
  constructor(what: string, reasons: readonly string[]) {
    super(printable(`${what}: ${reasons.join('; ')}`));
    this.reasons = reasons;
  }
}

/**
 * A shader does not compile (`messages` cite `shaders/file:line:column`), or gave a wrong result in its self-test on this device. It is a
 * bug of this library or of the browser.
 */
export class ShaderError extends Error {
  override readonly name = 'ShaderError';
  readonly errorCode = 'ANTIQUANT_SHADER';
  constructor(
    readonly variant: string,
    readonly messages: readonly string[],
  ) {
    super(`${variant}: ${messages.join('\n')}`);
  }
}

/**
 * The GPU refused work, so there is no result. `what` names the work, `said` is the browser's message. Usual causes: a buffer was
 * destroyed, mapped or of another device when the work was submitted, or was never made.
 */
export class GpuError extends Error {
  override readonly name = 'GpuError';
  readonly errorCode = 'ANTIQUANT_GPU';
  constructor(
    readonly what: string,
    readonly said: string,
  ) {
    super(`${what}: expected work that the GPU takes, got: ${said}`);
  }
}

/** The GPUDevice is lost, with everything made on it. Make a new device and load the layers again. */
export class DeviceLostError extends Error {
  override readonly name = 'DeviceLostError';
  readonly errorCode = 'ANTIQUANT_DEVICE_LOST';
  constructor(reason: string, message: string) {
    super(`device: expected a live GPUDevice, got a lost one (${reason || 'unknown'}${message ? `: ${message.replace(/\.$/, '')}` : ''})`);
  }
}

/** A place in a file of weights. */
export interface FileLocation {
  readonly file?: string | undefined;
  readonly tensor?: string | undefined;
  /** Name of the field in the header, the tensor or the configuration. */
  readonly field: string;
}

/**
 * A file, of weights or of this library, cannot be read: it is `missing`, or the disk, the network or a server failed. `status` is the HTTP status, `code` the system's
 * error code, e.g. EMFILE.
 */
export class ReadError extends Error {
  override readonly name = 'ReadError';
  readonly errorCode = 'ANTIQUANT_READ';
  readonly missing: boolean;
  readonly status: number | undefined;
  readonly code: string | undefined;
  constructor(
    readonly file: string,
    reason: string,
    {
      missing = false,
      status,
      code,
    }: { readonly missing?: boolean; readonly status?: number | undefined; readonly code?: string | undefined } = {},
  ) {
    super(printable(`${file}: cannot be read: ${reason}`));
    this.missing = missing;
    this.status = status;
    this.code = code;
  }
}

export const isMissing = (error: unknown): boolean => error instanceof ReadError && error.missing;

/** A file of weights or its tensors contradict their format: `file`, `tensor`, `field`, what was `expected` and what was `got`. */
export class FormatError extends Error {
  override readonly name = 'FormatError';
  readonly errorCode = 'ANTIQUANT_FORMAT';
  readonly file: string | undefined;
  readonly tensor: string | undefined;
  readonly field: string;
  constructor(
    { file, tensor, field }: FileLocation,
    readonly expected: string,
    readonly got: string,
  ) {
    super(printable(`${[file, tensor, field].filter(Boolean).join(': ')}: expected ${expected}, got ${got}`));
    this.file = file;
    this.tensor = tensor;
    this.field = field;
  }
}
