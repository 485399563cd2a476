// Buttons. `primary` for the one thing that a form is for; `plain` for everything else; `quiet` without a frame.
import type { ComponentChildren } from 'preact';

export interface ButtonProps {
  readonly children: ComponentChildren;
  readonly onClick?: () => void;
  readonly kind?: 'primary' | 'plain' | 'quiet';
  /** `submit` in a form. */
  readonly type?: 'button' | 'submit';
  readonly disabled?: boolean;
  /** For a button whose text is a sign. */
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
