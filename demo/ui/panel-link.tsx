// A link to another panel with some state. It opens inside the page, so that open files stay open. With a modifier key it is a plain link.
import type { ComponentChildren } from 'preact';

export function PanelLink({
  panel,
  state,
  children,
}: {
  readonly panel: string;
  /** State by the keys of the URL. */
  readonly state: Readonly<Record<string, string | number | boolean>>;
  readonly children: ComponentChildren;
}) {
  const entries = Object.entries(state).map(([key, value]) => [key, typeof value === 'boolean' ? String(Number(value)) : String(value)]);
  const href = `?${new URLSearchParams([['panel', panel], ...entries] as string[][])}`;
  return (
    <a
      href={href}
      onClick={(event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        history.pushState(null, '', href);
        dispatchEvent(new PopStateEvent('popstate'));
      }}
    >
      {children}
    </a>
  );
}
