// What goes to a terminal or a program: text in which names of files command nothing, JSON in which they are escaped.
import { printable } from '../src/errors.js';

/** Lines as they are, and nothing else that a terminal acts on. */
export const safeText = (text: string): string => text.split('\n').map(printable).join('\n');

const escaped = (text: string): string => text.replace(/[\s\S]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** A document; what JSON.stringify leaves as it is, terminals do not: C1, marks of direction, line ends of Unicode. */
export const jsonText = (document: unknown): string =>
  `${JSON.stringify(document, null, 2).replace(/[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}]/gu, escaped)}\n`;
