// Shows untrusted values in messages, always short.
import { clip } from '../arguments/show-value.js';

export { clip };

/** A value of a header for a message. */
export function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'string') return JSON.stringify(clip(value));
  if (Array.isArray(value)) return `[${clip(value.slice(0, 16).map(show).join(', '))}${value.length > 16 ? ', …' : ''}]`;
  if (typeof value === 'object' && value !== null) return 'an object';
  return String(value);
}
