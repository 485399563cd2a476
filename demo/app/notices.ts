// Sentences that concern the whole page; app.tsx shows them in one live region.
import { signal } from '@preact/signals';

export interface NoticeEntry {
  /** A notice replaces the one with the same id. */
  readonly id: string;
  readonly kind: 'info' | 'warn' | 'bad';
  readonly text: string;
  readonly action?: { readonly label: string; readonly run: () => void };
}

export const notices = signal<readonly NoticeEntry[]>([]);

export function notify(entry: NoticeEntry): void {
  notices.value = [...notices.peek().filter(({ id }) => id !== entry.id), entry];
}

export function dismiss(id: string): void {
  if (notices.peek().some((entry) => entry.id === id)) notices.value = notices.peek().filter((entry) => entry.id !== id);
}
