// A chart by Observable Plot, which is loaded with the first chart, in a figure with a title and a table of the same numbers.

import type * as PlotModule from '@observablehq/plot';
import { useSignal, useSignalEffect } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import './chart.css';
import { dark } from '../app/theme.js';
import { type Column, Table } from './table.js';

export type Plot = typeof PlotModule;
export interface ChartSize {
  /** Available width in CSS pixels. */
  readonly width: number;
  readonly dark: boolean;
}
export interface ChartProps {
  readonly title: string;
  /** A sentence about the chart; also its accessible description. */
  readonly lead?: string;
  /** Draws the chart. Called again when the function, the width or the theme changes, so keep it stable (useCallback). */
  readonly draw: (plot: Plot, size: ChartSize) => Element;
  /** The same as numbers. */
  readonly table: { readonly columns: readonly Column[]; readonly rows: readonly (readonly ComponentChildren[])[] };
}

let loading: Promise<Plot> | undefined;
const loadPlot = (): Promise<Plot> => (loading ??= import('@observablehq/plot'));

/** Removes the names of Plot's groups, which have no role that takes a name. */
function unnamed(drawn: Element): Element {
  for (const part of drawn.querySelectorAll('g[aria-label]')) part.removeAttribute('aria-label');
  return drawn;
}

export function Chart({ title, lead, draw, table }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const width = useSignal(0);
  const drawn = useSignal(draw);
  useEffect(() => {
    drawn.value = draw;
  }, [draw, drawn]);
  useEffect(() => {
    const watch = new ResizeObserver(([entry]) => {
      width.value = Math.floor(entry!.contentRect.width);
    });
    watch.observe(box.current!);
    return () => watch.disconnect();
  }, [width]);
  useSignalEffect(() => {
    const size = { width: width.value, dark: dark.value };
    const now = drawn.value;
    if (size.width === 0) return;
    let gone = false;
    loadPlot().then(
      (plot) => gone || box.current?.replaceChildren(unnamed(now(plot, size))),
      () => {
        loading = undefined;
        if (!gone) box.current?.replaceChildren('Charts could not be loaded. The table below has the numbers.');
      },
    );
    return () => {
      gone = true;
    };
  });
  return (
    <figure class="chart">
      <figcaption>
        <span>{title}</span>
        {lead && <small>{lead}</small>}
      </figcaption>
      <div ref={box} class="chart-box" role="img" aria-label={lead ? `${title}. ${lead}` : title} />
      <details>
        <summary>The same as a table</summary>
        <Table caption={title} hideCaption {...table} />
      </details>
    </figure>
  );
}
