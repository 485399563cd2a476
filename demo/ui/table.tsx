// A small table with a caption. It is not for hundreds of rows.
import type { ComponentChildren } from 'preact';

export interface Column {
  readonly title: string;
  /** Numbers are aligned to the right, in figures of one width. */
  readonly numeric?: boolean;
}
export interface TableProps {
  readonly caption: ComponentChildren;
  readonly columns: readonly Column[];
  /** The first cell of a row is its heading. */
  readonly rows: readonly (readonly ComponentChildren[])[];
  readonly hideCaption?: boolean;
}

export const Table = ({ caption, columns, rows, hideCaption }: TableProps) => (
  // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keys
  <section class="table" tabIndex={0} aria-label={typeof caption === 'string' ? caption : 'Table'}>
    <table>
      <caption class={hideCaption ? 'unseen' : undefined}>{caption}</caption>
      <thead>
        <tr>
          {columns.map(({ title, numeric }) => (
            <th key={title} scope="col" class={numeric ? 'numeric' : undefined}>
              {title}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map((row, i) => (
          <tr key={i}>
            {row.map((cell, j) =>
              j === 0 ? (
                <th key={j} scope="row" class={columns[j]?.numeric ? 'numeric' : undefined}>
                  {cell}
                </th>
              ) : (
                <td key={j} class={columns[j]?.numeric ? 'numeric' : undefined}>
                  {cell}
                </td>
              ),
            )}
          </tr>
        ))}
      </tbody>
    </table>
  </section>
);
