// Input of a heatmap: hovering and arrows move the cursor; dragging, two fingers, wheel and keys move and zoom the view.
import type { Signal } from '@preact/signals';
import { clampView, type Matrix, type View, wholeView, zoomed } from './heatmap-draw.js';

export interface Cell {
  readonly row: number;
  readonly column: number;
}
type Size = Pick<Matrix, 'rows' | 'columns'>;
interface Parts {
  readonly view: Signal<View>;
  readonly cursor: Signal<Cell | undefined>;
  readonly size: () => Size;
}

/** Listens on the canvas until the returned function is called. */
export function listen(canvas: HTMLCanvasElement, { view, cursor, size }: Parts): () => void {
  const set = (next: View): void => {
    view.value = clampView(next, size());
  };
  const place = ({ clientX, clientY }: { clientX: number; clientY: number }) => {
    const { left, top, width, height } = canvas.getBoundingClientRect();
    return { x: (clientX - left) / width, y: (clientY - top) / height };
  };
  const cellAt = ({ x, y }: { x: number; y: number }): Cell => {
    const { rows, columns } = size();
    const { left, top, width, height } = view.peek();
    const within = (value: number, count: number): number => Math.min(count - 1, Math.max(0, Math.floor(value)));
    return { row: within(top + y * height, rows), column: within(left + x * width, columns) };
  };

  const pointers = new Map<number, { x: number; y: number }>();
  const down = (event: PointerEvent): void => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, place(event));
  };
  const move = (event: PointerEvent): void => {
    const now = place(event);
    const before = pointers.get(event.pointerId);
    if (before) {
      const [other] = [...pointers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
      const { left, top, width, height } = view.peek();
      if (other) {
        const distance = (a: { x: number; y: number }): number => Math.hypot(a.x - other.x, a.y - other.y);
        set(zoomed(view.peek(), distance(before) / Math.max(0.01, distance(now)), { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 }));
      } else set({ left: left - (now.x - before.x) * width, top: top - (now.y - before.y) * height, width, height });
      pointers.set(event.pointerId, now);
    }
    cursor.value = cellAt(now);
  };
  const up = (event: PointerEvent): void => void pointers.delete(event.pointerId);
  const leave = (event: PointerEvent): void => {
    if (event.pointerType === 'mouse' && document.activeElement !== canvas) cursor.value = undefined;
  };
  // The page must scroll past a heatmap, so the wheel zooms only with focus or with Ctrl, which a pinch on a touchpad sends too.
  const wheel = (event: WheelEvent): void => {
    if (!event.ctrlKey && document.activeElement !== canvas) return;
    event.preventDefault();
    set(zoomed(view.peek(), 1.0015 ** (event.deltaY * (event.deltaMode === 1 ? 30 : 1) * (event.ctrlKey ? 4 : 1)), place(event)));
  };
  const key = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = STEPS[event.key];
    const middle = { x: 0.5, y: 0.5 };
    if (step) {
      const [dx, dy] = step;
      const at = cursor.peek() ?? cellAt(middle);
      const { left, top, width, height } = view.peek();
      const [byX, byY] = event.shiftKey ? [Math.max(1, Math.round(width / 8)), Math.max(1, Math.round(height / 8))] : [1, 1];
      const { rows, columns } = size();
      const cell = {
        row: Math.min(rows - 1, Math.max(0, at.row + dy * byY)),
        column: Math.min(columns - 1, Math.max(0, at.column + dx * byX)),
      };
      cursor.value = cursor.peek() ? cell : at;
      // The view follows the cursor.
      const follow = (value: number, from: number, length: number): number =>
        value < from ? value : value + 1 > from + length ? value + 1 - length : from;
      set({ left: follow(cell.column, left, width), top: follow(cell.row, top, height), width, height });
    } else if (event.key === '+' || event.key === '=') zoomBy(view, size(), 0.5, cursor.peek());
    else if (event.key === '-') zoomBy(view, size(), 2, cursor.peek());
    else if (event.key === '0') view.value = wholeView(size());
    else return;
    event.preventDefault();
  };
  const focus = (): void => {
    if (canvas.matches(':focus-visible')) cursor.value ??= cellAt({ x: 0.5, y: 0.5 });
  };

  const all: [string, EventListener, AddEventListenerOptions?][] = [
    ['pointerdown', down as EventListener],
    ['pointermove', move as EventListener],
    ['pointerup', up as EventListener],
    ['pointercancel', up as EventListener],
    ['pointerleave', leave as EventListener],
    ['wheel', wheel as EventListener, { passive: false }],
    ['keydown', key as EventListener],
    ['focus', focus],
  ];
  for (const [name, listener, options] of all) canvas.addEventListener(name, listener, options);
  return () => {
    for (const [name, listener] of all) canvas.removeEventListener(name, listener);
  };
}

const STEPS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

/** Zooms around a cell or the middle. */
export function zoomBy(view: Signal<View>, size: Size, factor: number, cell?: Cell): void {
  const { left, top, width, height } = view.peek();
  const inside = (share: number): number => (share >= 0 && share <= 1 ? share : 0.5);
  const at = cell ? { x: inside((cell.column + 0.5 - left) / width), y: inside((cell.row + 0.5 - top) / height) } : { x: 0.5, y: 0.5 };
  view.value = clampView(zoomed(view.peek(), factor, at), size);
}
