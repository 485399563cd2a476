// Buttons: `primary` for a form's main action, `plain` for others, `quiet` without a frame.
import type { ComponentChildren } from 'preact';

export interface ButtonProps {
  readonly children: ComponentChildren;
  readonly onClick?: () => void;
  readonly kind?: 'primary' | 'plain' | 'quiet';
  /** `submit` in a form. */
  readonly type?: 'button' | 'submit';
  readonly disabled?: boolean;
  /** Accessible name of a button whose text is a symbol. */
  readonly label?: string;
  readonly pressed?: boolean;
}

export const Button = ({ children, onClick, kind = 'plain', type = 'button', disabled, label, pressed }: ButtonProps) => (
  <button
    type={type}
    class={`button ${kind}`}
    onClick={onClick}
    disabled={disabled}
    aria-label={label}
    title={label}
    aria-pressed={pressed}
  >
    {children}
  </button>
);
