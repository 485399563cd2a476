// A highlighted sentence: information, warning, failure or success. The live region around it announces it.
import type { ComponentChildren } from 'preact';

export interface NoticeProps {
  readonly kind: 'info' | 'good' | 'warn' | 'bad';
  readonly children: ComponentChildren;
  readonly onDismiss?: () => void;
}

const WORDS = { info: 'Note: ', good: '', warn: 'Warning: ', bad: 'Error: ' } as const;

export const Notice = ({ kind, children, onDismiss }: NoticeProps) => (
  <div class={`notice ${kind}`}>
    <div class="notice-text">
      <span class="unseen">{WORDS[kind]}</span>
      {children}
    </div>
    {onDismiss && (
      <button type="button" class="button quiet notice-close" onClick={onDismiss} aria-label="Dismiss this notice" title="Dismiss">
        ×
      </button>
    )}
  </div>
);
