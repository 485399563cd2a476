// Form controls with labels, bound to signals: NumberField, SelectField, Segmented, Toggle, Slider. All are native inputs.
import type { Signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useId, useState } from 'preact/hooks';

interface Common<T> {
  readonly label: string;
  readonly value: Signal<T>;
  /** A few words below the control. */
  readonly hint?: ComponentChildren;
  readonly disabled?: boolean;
  /** Called after the signal has the new value. */
  readonly onChange?: (value: T) => void;
}
export interface Option<T> {
  readonly value: T;
  readonly label: string;
  readonly disabled?: boolean;
}

interface FrameProps {
  readonly id: string;
  readonly label: string;
  readonly hint?: ComponentChildren;
  readonly problem?: string | undefined;
  readonly children: ComponentChildren;
}
const Frame = ({ id, label, hint, problem, children }: FrameProps) => (
  <div class="field">
    <label for={id}>{label}</label>
    {children}
    {(problem || hint) && (
      <small id={`${id}-hint`} class={problem ? 'problem' : undefined}>
        {problem || hint}
      </small>
    )}
  </div>
);
const described = (id: string, ...any: unknown[]): string | undefined => (any.some(Boolean) ? `${id}-hint` : undefined);

// -------------------------------------------------------------------------------------------------------------- numbers

export interface NumberProps extends Common<number> {
  readonly min: number;
  readonly max: number;
  readonly step?: number;
  readonly unit?: string;
  /** Why a number that is in range and in step is refused, in a few words; undefined if it is accepted. */
  readonly check?: (value: number) => string | undefined;
}

/** A number. The signal changes on Enter, on leaving the field, and by the arrows. An invalid number is reported and not taken. */
export function NumberField({ label, value, hint, disabled, onChange, min, max, step = 1, unit, check }: NumberProps) {
  const id = useId();
  const [problem, setProblem] = useState<string | undefined>();
  const take = (input: HTMLInputElement): void => {
    const number = input.valueAsNumber;
    const wrong =
      Number.isNaN(number) || number < min || number > max
        ? `${min} to ${max}`
        : Math.abs((number - min) / step - Math.round((number - min) / step)) > 1e-9
          ? `${min}, then in steps of ${step}`
          : check?.(number);
    setProblem(wrong && `Expected ${wrong}.`);
    if (wrong || number === value.peek()) return;
    value.value = number;
    onChange?.(number);
  };
  return (
    <Frame id={id} label={label} hint={hint} problem={problem}>
      <span class="with-unit">
        <input
          id={id}
          type="number"
          inputMode={Number.isInteger(step) ? 'numeric' : 'decimal'}
          min={min}
          max={max}
          step={step}
          value={value.value}
          disabled={disabled}
          aria-invalid={problem ? true : undefined}
          aria-describedby={described(id, problem, hint)}
          onChange={(event) => take(event.currentTarget)}
        />
        {unit && <span aria-hidden="true">{unit}</span>}
      </span>
    </Frame>
  );
}

export interface SliderProps extends Common<number> {
  readonly min: number;
  readonly max: number;
  readonly step?: number;
  /** Text of the number, shown and read out. */
  readonly format?: (value: number) => string;
}

export function Slider({ label, value, hint, disabled, onChange, min, max, step = 1, format = String }: SliderProps) {
  const id = useId();
  const shown = format(value.value);
  return (
    <div class="field">
      <span class="slider-head">
        <label for={id}>{label}</label>
        <output for={id}>{shown}</output>
      </span>
      <input
        id={id}
        type="range"
        min={min}
        max={max}
        step={step}
        value={value.value}
        disabled={disabled}
        aria-valuetext={shown}
        aria-describedby={described(id, hint)}
        onInput={({ currentTarget: { valueAsNumber } }) => {
          value.value = valueAsNumber;
          onChange?.(valueAsNumber);
        }}
      />
      {hint && <small id={`${id}-hint`}>{hint}</small>}
    </div>
  );
}

// -------------------------------------------------------------------------------------------------------------- choices

export interface ChoiceProps<T> extends Common<T> {
  readonly options: readonly Option<T>[];
}

export function SelectField<T extends string | number>({ label, value, hint, disabled, onChange, options }: ChoiceProps<T>) {
  const id = useId();
  return (
    <Frame id={id} label={label} hint={hint}>
      <select
        id={id}
        disabled={disabled}
        aria-describedby={described(id, hint)}
        value={String(value.value)}
        onChange={({ currentTarget }) => {
          const chosen = options[currentTarget.selectedIndex]!.value;
          value.value = chosen;
          onChange?.(chosen);
        }}
      >
        {options.map(({ value: one, label: text, disabled: off }) => (
          <option key={String(one)} value={String(one)} disabled={off}>
            {text}
          </option>
        ))}
      </select>
    </Frame>
  );
}

export interface SegmentedProps<T> extends ChoiceProps<T> {
  readonly hideLabel?: boolean;
  readonly compact?: boolean;
}

/** A few choices side by side. They are radio buttons, so the arrow keys move between them. */
export function Segmented<T extends string | number>(props: SegmentedProps<T>) {
  const { label, value, hint, disabled, onChange, options, hideLabel, compact } = props;
  const id = useId();
  return (
    <fieldset class={`field segmented${compact ? ' compact' : ''}`} disabled={disabled} aria-describedby={described(id, hint)}>
      <legend class={hideLabel ? 'unseen' : undefined}>{label}</legend>
      <div class="segments">
        {options.map(({ value: one, label: text, disabled: off }) => (
          <label key={String(one)}>
            <input
              type="radio"
              name={id}
              value={String(one)}
              checked={value.value === one}
              disabled={off}
              onChange={() => {
                value.value = one;
                onChange?.(one);
              }}
            />
            <span>{text}</span>
          </label>
        ))}
      </div>
      {hint && <small id={`${id}-hint`}>{hint}</small>}
    </fieldset>
  );
}

export function Toggle({ label, value, hint, disabled, onChange }: Common<boolean>) {
  const id = useId();
  return (
    <div class="field toggle">
      <label>
        <input
          type="checkbox"
          checked={value.value}
          disabled={disabled}
          aria-describedby={described(id, hint)}
          onChange={({ currentTarget: { checked } }) => {
            value.value = checked;
            onChange?.(checked);
          }}
        />
        <span>{label}</span>
      </label>
      {hint && <small id={`${id}-hint`}>{hint}</small>}
    </div>
  );
}
