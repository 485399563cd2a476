// Names and values, side by side if the width allows.
import type { ComponentChildren } from 'preact';

/** A name, its value, and a remark. */
export type Fact = readonly [name: string, value: ComponentChildren, remark?: ComponentChildren];

export const Facts = ({ items }: { readonly items: readonly Fact[] }) => (
  <dl class="facts">
    {items.map(([name, value, remark]) => (
      <div key={name}>
        <dt>{name}</dt>
        <dd>
          <span class="fact-value">{value}</span>
          {remark && <small>{remark}</small>}
        </dd>
      </div>
    ))}
  </dl>
);
