// Shows WGSL with colours, line numbers and a remark for each line, such as its origin. It is plain text until the highlighter has loaded.
import { useEffect, useState } from 'preact/hooks';
import './code-view.css';
import { CopyButton } from './copy-button.js';
import type { Piece } from './highlight.js';
import { whole } from './numbers.js';

export interface CodeViewProps {
  readonly title: string;
  readonly code: string;
  /** A remark for each line, such as `lib/rows.wgsl:31`; undefined for none. */
  readonly remarks?: readonly (string | undefined)[];
  /** Marked lines, from 1. */
  readonly marked?: ReadonlySet<number>;
}

export function CodeView({ title, code, remarks, marked }: CodeViewProps) {
  const text = code.trimEnd();
  const [found, setFound] = useState<{ readonly text: string; readonly lines: readonly (readonly Piece[])[] } | undefined>();
  useEffect(() => {
    let gone = false;
    import('./highlight.js')
      .then(({ highlight }) => highlight(text))
      .then(
        (lines) => gone || setFound({ text, lines }),
        () => {}, // it stays plain
      );
    return () => {
      gone = true;
    };
  }, [text]);
  const plain: readonly (readonly Piece[])[] = text.split('\n').map((line) => [{ text: line }]);
  const coloured = found?.text === text;
  const lines = coloured ? found.lines : plain;
  return (
    <figure class="code">
      <figcaption>
        <span>{title}</span>
        <small>{whole(lines.length)} lines</small>
        <CopyButton text={text} />
      </figcaption>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keys */}
      <section tabIndex={0} aria-label={title} data-coloured={coloured ? '' : undefined}>
        <pre>
          <code style={{ '--digits': String(lines.length).length }}>
            {lines.map((pieces, i) => (
              <span
                key={i}
                class="code-line"
                data-line={i + 1}
                data-remark={remarks?.[i]}
                data-marked={marked?.has(i + 1) ? '' : undefined}
              >
                {pieces.map(({ text: piece, light, dark }, j) =>
                  light ? (
                    <span key={j} style={{ '--light': light, '--dark': dark }}>
                      {piece}
                    </span>
                  ) : (
                    piece
                  ),
                )}
                {'\n'}
              </span>
            ))}
          </code>
        </pre>
      </section>
    </figure>
  );
}
