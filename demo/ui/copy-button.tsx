// Copies a text to the clipboard and confirms it, also to screen readers.
import { useState } from 'preact/hooks';
import { Button, type ButtonProps } from './button.js';

interface CopyButtonProps {
  readonly text: string | (() => string);
  readonly label?: string;
  readonly kind?: ButtonProps['kind'];
}

export function CopyButton({ text, label = 'Copy', kind = 'quiet' }: CopyButtonProps) {
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
      <Button kind={kind} onClick={copy}>
        {label}
      </Button>
      <output class="copy-said">{said}</output>
    </span>
  );
}
