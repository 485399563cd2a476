// Shows the text that runs: highlighted, in sections by file of shaders/, with both line numbers, and an outline of its functions. A line
// that the URL names is marked and scrolled into view.
import { useSignalEffect } from '@preact/signals';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { Button } from '../../ui/button.js';
import { CopyButton } from '../../ui/copy-button.js';
import { NumberField } from '../../ui/fields.js';
import type { Piece } from '../../ui/highlight.js';
import { counted, whole } from '../../ui/numbers.js';
import type { ReflectedFunction, ShaderText } from './jobs/text.js';
import { line, lineQuery, reflection } from './state.js';

export function Source({ text }: { readonly text: ShaderText }) {
  const { code, places, shader } = text;
  const count = places.length;
  const read = reflection.result.value?.id === text.id ? reflection.result.value : undefined;
  const place = places[line.value - 1];
  return (
    <section class="stack source" aria-labelledby="source-title" data-variant={text.id}>
      <div class="source-head">
        <div>
          <h3 id="source-title">The text of {shader}.wgsl</h3>
          <p class="mono dim">{text.id}</p>
        </div>
        <div class="source-tools">
          <NumberField label="Line" value={line} min={0} max={count} />
          <CopyButton text={code} label="Copy the text" />
          <Button kind="quiet" onClick={() => download(text)}>
            Download .wgsl
          </Button>
        </div>
      </div>
      <p class="source-line" role="status">
        {place ? (
          <>
            <span>
              Line {line.value} is{' '}
              <code>
                shaders/{place.file}:{place.line}
              </code>
              .
            </span>
            <CopyButton label="Copy a link to it" text={() => new URL(lineQuery(line.peek()), location.href).href} />
          </>
        ) : (
          <span class="dim">
            {whole(count)} lines of {counted(new Set(places.map(({ file }) => file)).size, 'file')} of shaders/. Choose a line’s number to
            link to it.
          </span>
        )}
      </p>
      <div class="source-body">
        <Outline functions={read?.functions ?? []} places={places} />
        <Lines text={text} />
      </div>
    </section>
  );
}

function download({ code, id }: ShaderText): void {
  const url = URL.createObjectURL(new Blob([code], { type: 'text/wgsl' }));
  const link = document.createElement('a');
  link.href = url;
  link.download = `${id
    .replace(/[[\],]+/g, '-')
    .replace(/-$/, '')
    .replaceAll('=', '')}.wgsl`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

function Outline({ functions, places }: { readonly functions: readonly ReflectedFunction[]; readonly places: ShaderText['places'] }) {
  const files = [...new Set(functions.map((one) => places[one.line - 1]?.file ?? ''))];
  return (
    <nav class="outline" aria-label="Functions of the text">
      <h4>Functions</h4>
      {functions.length === 0 && <p class="dim">Reading the text.</p>}
      {files.map((file) => (
        <div key={file}>
          <h5>{file}</h5>
          <ul>
            {functions
              .filter((one) => places[one.line - 1]?.file === file)
              .map((one) => (
                <li key={one.name}>
                  <button
                    type="button"
                    class="line-button"
                    data-unused={one.used ? undefined : ''}
                    aria-current={line.value >= one.line && line.value <= one.end ? 'true' : undefined}
                    onClick={() => {
                      line.value = one.line;
                    }}
                  >
                    {one.name}
                    {!one.used && <span class="unused"> not called</span>}
                  </button>
                </li>
              ))}
          </ul>
        </div>
      ))}
    </nav>
  );
}

type Lined = readonly (readonly Piece[])[];

function Lines({ text }: { readonly text: ShaderText }) {
  const { code, places, shader } = text;
  const box = useRef<HTMLElement>(null);
  const [found, setFound] = useState<{ readonly code: string; readonly lines: Lined } | undefined>();
  useEffect(() => {
    let gone = false;
    import('../../ui/highlight.js')
      .then(({ highlight }) => highlight(code))
      .then(
        (lines) => gone || setFound({ code, lines }),
        () => {}, // it stays plain
      );
    return () => {
      gone = true;
    };
  }, [code]);
  const plain = useMemo(() => code.split('\n').slice(0, places.length), [code, places]);
  const lines = found?.code === code ? found.lines : undefined;
  const runs = useMemo(() => runsOf(places), [places]);

  // Also for the line that the URL came with.
  useSignalEffect(() => {
    if (line.value > 0 && box.current) scrollTo(box.current, line.value);
  });

  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the links inside have keys of their own, as has the field "Line"
    <section
      ref={box}
      class="lines"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keys
      tabIndex={0}
      aria-label={`WGSL of ${shader}`}
      data-coloured={lines ? '' : undefined}
      style={{ '--digits': String(plain.length).length }}
      onPointerOver={({ target }) => {
        // Computed on demand: the query holds all settings.
        const link = (target as Element).closest<HTMLAnchorElement>('a[data-to]');
        if (link) link.href = lineQuery(Number(link.dataset.to));
      }}
      onClick={(event) => {
        const link = (event.target as Element).closest<HTMLAnchorElement>('a[data-to]');
        if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
        event.preventDefault();
        const at = Number(link.dataset.to);
        line.value = line.peek() === at ? 0 : at;
      }}
    >
      <div class="lines-runs">
        {runs.map(({ file, begin, end }) => (
          <div key={begin}>
            <div class="lines-file">
              <span>shaders/{file}</span>
            </div>
            <pre>
              {blocksOf(begin, end).map((block) => (
                <Block key={block.begin} {...block} plain={plain} lines={lines} places={places} />
              ))}
            </pre>
          </div>
        ))}
      </div>
    </section>
  );
}

/** Runs of lines of one file, [begin, end), from 0. */
function runsOf(places: ShaderText['places']): { readonly file: string; readonly begin: number; readonly end: number }[] {
  const runs: { readonly file: string; readonly begin: number; end: number }[] = [];
  for (const [i, { file }] of places.entries()) {
    const last = runs.at(-1);
    if (last?.file === file) last.end = i + 1;
    else runs.push({ file, begin: i, end: i + 1 });
  }
  return runs;
}

/** Lines that are rendered together when they come into view: thousands of highlighted pieces at once would slow the page down. */
const BLOCK = 32;
const blocksOf = (begin: number, end: number) =>
  Array.from({ length: Math.ceil((end - begin) / BLOCK) }, (_, i) => ({
    begin: begin + i * BLOCK,
    end: Math.min(end, begin + (i + 1) * BLOCK),
  }));

interface BlockProps {
  readonly begin: number;
  readonly end: number;
  readonly plain: readonly string[];
  readonly lines: Lined | undefined;
  readonly places: ShaderText['places'];
}
function Block({ begin, end, plain, lines, places }: BlockProps) {
  const box = useRef<HTMLElement>(null);
  const [seen, see] = useState(false);
  useEffect(() => {
    const watch = new IntersectionObserver((entries) => see(entries.at(-1)!.isIntersecting), {
      root: box.current!.closest('.lines'),
      rootMargin: '200px 0px',
    });
    watch.observe(box.current!);
    return () => watch.disconnect();
  }, []);
  const marked = line.value;
  const shown = { ref: box, class: 'lines-block', 'data-begin': begin, 'data-end': end };
  if (!seen) return <code {...shown}>{plain.slice(begin, end).join('\n')}</code>;
  return (
    <code {...shown} data-seen="">
      {plain.slice(begin, end).map((whole, j) => {
        const at = begin + j + 1;
        const { file, line: from } = places[at - 1]!;
        return (
          <span key={at} class="source-row" data-line={at} data-place={`${file}:${from}`} data-marked={at === marked ? '' : undefined}>
            <a href={`?panel=shader&line=${at}`} data-to={at} tabIndex={-1}>
              {at}
            </a>
            <span class="from">{from}</span>
            {lines?.[at - 1]?.map(({ text: piece, light, dark }, p) =>
              light ? (
                <span key={p} class="piece" style={{ '--light': light, '--dark': dark }}>
                  {piece}
                </span>
              ) : (
                piece
              ),
            ) ?? whole}
            {'\n'}
          </span>
        );
      })}
    </code>
  );
}

/** Scrolls a line and its box into view. Lines of a block have the same height, rendered or not. */
function scrollTo(section: HTMLElement, at: number): void {
  const block = [...section.querySelectorAll<HTMLElement>('.lines-block')].find(
    ({ dataset }) => Number(dataset.begin) < at && at <= Number(dataset.end),
  );
  if (!block) return;
  const begin = Number(block.dataset.begin);
  const { top, height } = block.getBoundingClientRect();
  const each = height / (Number(block.dataset.end) - begin);
  const outer = section.getBoundingClientRect();
  const place = top - outer.top + each * (at - 1 - begin);
  if (place < 2 * each || place > section.clientHeight - 2 * each) section.scrollTop += place - section.clientHeight / 3;
  if (outer.top < 0 || outer.bottom > innerHeight) section.scrollIntoView({ block: 'nearest' });
}
