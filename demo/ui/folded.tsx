// A form that a phone folds away under a line, so that the first screen shows the answer. On wider screens it is always open.
import { signal, useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';

const phone = matchMedia('(max-width: 40rem)');
const narrow = signal(phone.matches);
phone.addEventListener('change', ({ matches }) => {
  narrow.value = matches;
});

/** @param summary what the form says now, on the line that opens it */
export function Folded({ summary, children }: { readonly summary: ComponentChildren; readonly children: ComponentChildren }) {
  const opened = useSignal(false);
  return (
    <details
      class="folded"
      data-narrow={narrow.value ? '' : undefined}
      open={!narrow.value || opened.value}
      onToggle={({ currentTarget: { open } }) => {
        if (narrow.peek()) opened.value = open;
      }}
    >
      <summary>{summary}</summary>
      {children}
    </details>
  );
}
