// The errors of the library. A message always says what it is about, what was expected and what was met instead. Fields hold names as they are;
// messages hold nothing that could command a terminal or turn its text around.

/** Text of strangers without control characters, escape sequences, line ends and marks of direction: each becomes U+FFFD. */
export const printable = (text: string): string => text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, '\ufffd');

/** The caller's mistake: `argument`, what was `expected`, what was `got`. Thrown before any GPU work. */
export class ArgumentError extends Error {
  override readonly name = 'ArgumentError';
  constructor(
    readonly argument: string,
    readonly expected: string,
    readonly got: string,
  ) {
    super(printable(`${argument}: expected ${expected}, got ${got}`));
  }
}

/** This device, adapter or browser cannot do it. `reasons` holds one sentence for each thing that stands in the way. */
export class UnsupportedError extends Error {
  override readonly name = 'UnsupportedError';
  readonly reasons: readonly string[];
  constructor(what: string, reasons: readonly string[]) {
    super(printable(`${what}: ${reasons.join('; ')}`));
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

/**
 * A file could not be read: it is not there (`missing`), or the disk, the network or a server failed. Nothing is known of what it says.
 * `status` is HTTP's, `code` the system's, e.g. EMFILE.
 */
export class ReadError extends Error {
  override readonly name = 'ReadError';
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
    super(printable(`${[file, tensor, field].filter(Boolean).join(': ')}: expected ${expected}, got ${got}`));
    this.file = file;
    this.tensor = tensor;
    this.field = field;
  }
}
