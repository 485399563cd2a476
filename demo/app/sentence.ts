// Errors as sentences: a capital, a full stop, no stack.

export function sentence(error: unknown): string {
  const text = (error instanceof Error ? error.message : String(error)).trim() || 'An error without a message occurred';
  const first = text[0]!;
  // Names of arguments and files keep their case: only a plain word gets a capital.
  const start = /^[a-z]+ /.test(text) ? first.toUpperCase() : first;
  return `${start}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`;
}
