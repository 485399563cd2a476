// Makes output safe for terminals: removes control characters from text and escapes them in JSON, since files may contain any name.
import { printable } from '../src/errors.js';

/** Text with line ends, without other control characters. */
export const safeText = (text: string): string => text.split('\n').map(printable).join('\n');

const escaped = (text: string): string => text.replace(/[\s\S]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** A document as JSON. Also escapes characters that JSON.stringify leaves: C1, marks of direction, Unicode's line ends. */
export const jsonText = (document: unknown): string =>
  `${JSON.stringify(document, null, 2).replace(/[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}]/gu, escaped)}\n`;
