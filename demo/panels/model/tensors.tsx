// The list of tensors: a grid whose visible rows alone are in the page, so that 100,000 rows scroll well. It is one stop for Tab. Arrows,
// Page Up and Down, Home and End move; Enter and a click choose; headings sort.
// biome-ignore-all lint/a11y/useSemanticElements: a table's rows cannot be placed where they would be if all were there
// biome-ignore-all lint/a11y/useFocusableInteractive: the grid has the focus, and names the row that is active
import { useSignal } from '@preact/signals';
import { useEffect, useId, useMemo, useRef } from 'preact/hooks';
import { device } from '../../app/worker.js';
import { Segmented } from '../../ui/fields.js';
import { bytes, counted, whole } from '../../ui/numbers.js';
import type { OpenedModel, Row } from './jobs/open.js';
import { ordered } from './order.js';
import { choose, chosen, descending, filter, held, KINDS, kind, type SortBy, sortBy } from './state.js';

const HEADINGS: readonly { readonly by: SortBy; readonly title: string; readonly numeric?: boolean }[] = [
  { by: 'name', title: 'Name' },
  { by: 'role', title: 'What it is' },
  { by: 'dtype', title: 'dtype' },
  { by: 'shape', title: 'Shape', numeric: true },
  { by: 'bytes', title: 'Bytes', numeric: true },
  { by: 'bits', title: 'Bits a weight', numeric: true },
];
/** Rows drawn beyond each edge. */
const BEYOND = 8;

export function Tensors({ file }: { readonly file: OpenedModel }) {
  const order = { find: filter.value, kind: kind.value, sortBy: sortBy.value, descending: descending.value };
  const rows = useMemo(() => ordered(file.rows, order), [file, ...Object.values(order)]);
  const counts = useMemo(() => {
    const found = { all: file.rows.length, layer: 0, float: 0, refused: 0, other: 0 };
    for (const row of file.rows) found[row.kind]++;
    return found;
  }, [file]);
  const id = useId();
  const wide = device.value.state === 'ready' && device.value.facts.caps.wideCodes;
  return (
    <section class="stack tensors" aria-labelledby={`${id}-title`}>
      <div class="tensors-head">
        <h3 id={`${id}-title`}>Tensors</h3>
        <p role="status" class="tensors-count">
          {rows.length === file.rows.length
            ? counted(rows.length, 'tensor')
            : `${whole(rows.length)} of ${counted(file.rows.length, 'tensor')}`}
        </p>
      </div>
      <div class="controls">
        <div class="field">
          <label for={`${id}-find`}>Filter by name, dtype or format</label>
          <input
            id={`${id}-find`}
            type="text"
            class="tensors-find"
            spellcheck={false}
            autocomplete="off"
            maxLength={200}
            value={filter.value}
            onInput={({ currentTarget }) => {
              filter.value = currentTarget.value;
            }}
          />
        </div>
        <Segmented
          label="Kind"
          value={kind}
          options={(Object.keys(KINDS) as (keyof typeof KINDS)[]).map((value) => ({
            value,
            label: `${KINDS[value]} ${whole(counts[value])}`,
          }))}
        />
      </div>
      <Grid rows={rows} labelledBy={`${id}-title`} />
      <small>
        Bits a weight of a matrix with its scales, in the file → <strong>here</strong>, as this library holds it on this GPU; float matrices
        as int8.{wide && ' This software adapter holds codes of 3 and 6 bits in 4 and 8, which is faster on a CPU.'}
      </small>
    </section>
  );
}

function sort(by: SortBy): void {
  // Ascending, descending, then the file's order.
  if (sortBy.peek() !== by) [sortBy.value, descending.value] = [by, false];
  else if (!descending.peek()) descending.value = true;
  else [sortBy.value, descending.value] = ['file', false];
}

function Grid({ rows, labelledBy }: { readonly rows: readonly Row[]; readonly labelledBy: string }) {
  const id = useId();
  const grid = useRef<HTMLDivElement>(null);
  /** Heights in pixels: of a row, of the heading, of the visible part. */
  const sizes = useSignal({ row: 32, head: 32, height: 400 });
  const top = useSignal(0);
  const active = useSignal(0);

  useEffect(() => {
    const element = grid.current!;
    const watch = new ResizeObserver(() => {
      const style = getComputedStyle(element);
      const rem = Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
      const row = Number.parseFloat(style.getPropertyValue('--row')) * rem;
      sizes.value = { row, head: element.querySelector('.tensors-heading')!.getBoundingClientRect().height, height: element.clientHeight };
    });
    watch.observe(element);
    return () => watch.disconnect();
  }, [sizes]);
  // With another filter or order, the list starts at its top and the chosen row moves with it.
  useEffect(() => {
    grid.current!.scrollTop = top.value = 0;
    active.value = Math.max(0, rows.indexOf(chosen.peek()!));
  }, [rows, top, active]);

  const { row: height, head, height: seen } = sizes.value;
  const first = Math.max(0, Math.floor(top.value / height) - BEYOND);
  const end = Math.min(rows.length, Math.ceil((top.value + seen) / height) + BEYOND);

  const move = (to: number): void => {
    const next = Math.max(0, Math.min(rows.length - 1, to));
    active.value = next;
    const element = grid.current!;
    const room = element.clientHeight - head;
    if (next * height < element.scrollTop) element.scrollTop = next * height;
    else if ((next + 1) * height > element.scrollTop + room) element.scrollTop = (next + 1) * height - room;
    top.value = element.scrollTop;
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.target !== event.currentTarget || event.altKey || event.metaKey) return;
    const page = Math.max(1, Math.floor((seen - head) / height) - 1);
    const now = active.peek();
    const steps: Record<string, number> = {
      ArrowDown: now + 1,
      ArrowUp: now - 1,
      PageDown: now + page,
      PageUp: now - page,
      Home: 0,
      End: rows.length - 1,
    };
    const to = steps[event.key];
    const row = rows[now];
    if (to !== undefined) move(to);
    else if ((event.key === 'Enter' || event.key === ' ') && row) choose(row);
    else return;
    event.preventDefault();
  };

  const inSight = active.value >= first && active.value < end;
  return (
    <div
      ref={grid}
      class="tensors-grid"
      role="grid"
      tabIndex={0}
      aria-labelledby={labelledBy}
      aria-describedby={`${id}-keys`}
      aria-rowcount={rows.length + 1}
      aria-colcount={HEADINGS.length}
      aria-activedescendant={rows.length > 0 && inSight ? `${id}-${active.value}` : undefined}
      onScroll={({ currentTarget: { scrollTop } }) => {
        // Rounded to some rows, so that most scrolling redraws nothing.
        const step = 4 * height;
        const to = Math.floor(scrollTop / step) * step;
        if (to !== top.peek()) top.value = to;
      }}
      onKeyDown={onKeyDown}
    >
      <div role="rowgroup" class="tensors-heading">
        <div role="row" aria-rowindex={1} class="tensors-row">
          {HEADINGS.map(({ by, title, numeric }) => {
            const sorted = sortBy.value === by;
            return (
              <span
                key={by}
                role="columnheader"
                class={`at-${by}${numeric ? ' numeric' : ''}`}
                aria-sort={sorted ? (descending.value ? 'descending' : 'ascending') : 'none'}
              >
                <button type="button" onClick={() => sort(by)}>
                  {title}
                  <span aria-hidden="true">{sorted ? (descending.value ? ' ↓' : ' ↑') : ''}</span>
                </button>
              </span>
            );
          })}
        </div>
      </div>
      <div role="rowgroup" class="tensors-body" style={{ height: `${rows.length * height}px` }}>
        {rows.slice(first, end).map((row, i) => (
          <Line
            key={row.name}
            id={`${id}-${first + i}`}
            row={row}
            index={first + i}
            top={(first + i) * height}
            active={first + i === active.value}
            onPick={() => {
              active.value = first + i;
              choose(row);
            }}
          />
        ))}
      </div>
      {rows.length === 0 && <p class="tensors-none">No tensor matches this filter.</p>}
      <p class="unseen" id={`${id}-keys`}>
        Arrow keys, Page Up, Page Down, Home and End move; Enter chooses the tensor.
      </p>
    </div>
  );
}

interface LineProps {
  readonly id: string;
  readonly row: Row;
  readonly index: number;
  readonly top: number;
  readonly active: boolean;
  readonly onPick: () => void;
}
function Line({ id, row, index, top, active, onPick }: LineProps) {
  const { name, role, what, dtype, shape, kind: of } = row;
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the grid takes the keys for all of its rows
    <div
      id={id}
      role="row"
      aria-rowindex={index + 2}
      aria-selected={chosen.value === row}
      class="tensors-row"
      data-kind={of}
      data-mine={row.index !== undefined && of === chosen.value?.kind && row.index === chosen.value.index ? '' : undefined}
      data-active={active ? '' : undefined}
      style={{ transform: `translateY(${top}px)` }}
      onClick={onPick}
    >
      <span role="gridcell" class="at-name" title={name}>
        {name}
      </span>
      <span role="gridcell" class="at-role" title={role}>
        {what}
      </span>
      <span role="gridcell" class="at-dtype">
        {dtype}
      </span>
      <span role="gridcell" class="at-shape numeric">
        {shape.length === 0 ? 'scalar' : shape.map(whole).join(' × ')}
      </span>
      <span role="gridcell" class="at-bytes numeric">
        {bytes(row.bytes)}
      </span>
      <Bits row={row} />
    </div>
  );
}

/** Bits a weight in the file, and here: as the library would hold the matrix on this GPU. */
function Bits({ row: { bits, kind: of, index } }: { readonly row: Row }) {
  const all = of === 'layer' ? held.value?.layers : held.value?.floats;
  const here = bits === undefined || index === undefined ? undefined : all?.[index];
  return (
    <span
      role="gridcell"
      class="at-bits numeric"
      title={here === undefined ? undefined : `${of === 'float' ? 'as int8, ' : ''}scales and all`}
    >
      {bits !== undefined && (
        <>
          {bits.toFixed(2)}
          {here !== undefined && (
            <>
              <span aria-hidden="true"> → </span>
              <span class="unseen"> in the file, </span>
              <strong>{here.toFixed(2)}</strong>
              <span class="unseen"> here</span>
            </>
          )}
        </>
      )}
    </span>
  );
}
