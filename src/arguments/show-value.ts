// Shows a caller's value in a message: short, and without ever throwing.

const LONGEST = 80;
const MOST = 8;
export const clip = (text: string): string => (text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text);

const tagOf = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag)!.get as (
  this: unknown,
) => string | undefined;

/** The kind of a typed array of any realm: Float32Array, Uint8Array, … Undefined for other values and for proxies. */
export const arrayKind = (value: unknown): string | undefined => tagOf.call(value);

/** Is the view's buffer detached? */
function isGone(view: ArrayBufferView): boolean {
  try {
    return !new Uint8Array(view.buffer); // throws on a detached buffer
  } catch {
    return true;
  }
}

/** With `a` or `an` before it. */
export const article = (name: string): string => `${/^[AEIO]/.test(name) ? 'an' : 'a'} ${name}`;

/** `a Promise`, `a GPUAdapter`, `an object`: the class of an object, by its constructor. */
function classOf(value: object): string {
  const made: unknown = value.constructor;
  const name = typeof made === 'function' ? made.name : '';
  return typeof name === 'string' && name !== '' && name !== 'Object' ? article(clip(name)) : 'an object';
}

function shown(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(clip(value));
    case 'bigint':
      return `${clip(String(value))}n`;
    case 'function':
      return 'a function';
    case 'object':
      break;
    default:
      return clip(String(value));
  }
  if (value === null) return 'null';
  if (ArrayBuffer.isView(value)) {
    const kind = article(arrayKind(value) ?? 'DataView');
    return `${kind} ${isGone(value) ? 'whose memory was moved away' : `of ${(value as Uint8Array).length ?? value.byteLength}`}`;
  }
  if (Array.isArray(value)) {
    const first = Array.from({ length: Math.min(MOST, value.length) }, (_, i) => (i in value ? inside(value[i]) : 'a hole'));
    return `[${clip(first.join(', '))}${value.length > MOST ? ', …' : ''}]`;
  }
  return classOf(value);
}

/** Shows an array's elements one level deep. */
const inside = (value: unknown): string => (Array.isArray(value) ? 'an array' : shown(value));

/** A value as a message's `got`. */
export function showValue(value: unknown): string {
  try {
    return shown(value);
  } catch {
    return 'an object that cannot be read'; // a revoked Proxy, or one whose traps throw
  }
}
