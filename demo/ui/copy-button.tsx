// Copies a text to the clipboard and confirms it, also to screen readers.
import { useState } from 'preact/hooks';
import { Button } from './button.js';

export function CopyButton({ text, label = 'Copy' }: { readonly text: string | (() => string); readonly label?: string }) {
  const [said, say] = useState('');
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(typeof text === 'string' ? text : text());
      say('Copied');
    } catch {
      say('The browser refused to copy');
    }
    setTimeout(() => say(''), 2000);
  };
  return (
    <span class="copy">
      <Button kind="quiet" onClick={copy}>
        {label}
      </Button>
      <output class="copy-said">{said}</output>
    </span>
  );
}
