// A link to another panel, with state of its own, followed in the page, so that what is open stays open. With a modifier it is any link.
import type { ComponentChildren } from 'preact';

export function PanelLink({
  panel,
  state,
  children,
}: {
  readonly panel: string;
  /** By the URL's own keys. */
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
