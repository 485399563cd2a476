// The page's frame: name, theme, device, tabs, notices, and the panel that the URL names.
import { useEffect, useRef } from 'preact/hooks';
import { Button } from '../ui/button.js';
import { Segmented } from '../ui/fields.js';
import { Notice } from '../ui/notice.js';
import { DeviceLine } from './device-line.js';
import { dismiss, notices } from './notices.js';
import { Outlet } from './outlet.js';
import { PANELS } from './panels.js';
import { THEMES, theme } from './theme.js';
import { panel, queryOf, showPanel } from './url-state.js';

export function App() {
  const shown = PANELS.find(({ name }) => name === panel.value)!;
  return (
    <>
      <a class="skip" href="#main">
        Skip to the panel
      </a>
      <header class="masthead">
        <div class="masthead-row">
          <div class="masthead-name">
            <h1>antiquant</h1>
            <p>Matrix products with int4 and int8 weights on WebGPU, checked against a float64 reference.</p>
          </div>
          <div class="masthead-tools">
            <a href="./docs/README.md">Documentation</a>
            <Segmented label="Theme" hideLabel compact value={theme} options={THEMES.map((name) => ({ value: name, label: name }))} />
          </div>
        </div>
        <DeviceLine />
        <Tabs />
      </header>
      <div class="notices" role="status" aria-label="Notices">
        {notices.value.map(({ id, kind, text, action }) => (
          <Notice key={id} kind={kind} onDismiss={() => dismiss(id)}>
            {text}
            {action && <Button onClick={action.run}>{action.label}</Button>}
          </Notice>
        ))}
      </div>
      <main id="main" tabIndex={-1} data-panel={shown.name}>
        <Outlet key={shown.name} entry={shown} />
      </main>
    </>
  );
}

/** Tabs as links, which can be opened in another window. Arrow keys, Home and End move between them. */
function Tabs() {
  const move = (event: KeyboardEvent): void => {
    const links = [...(event.currentTarget as HTMLElement).querySelectorAll('a')];
    const at = links.indexOf(document.activeElement as HTMLAnchorElement);
    const last = links.length - 1;
    const to = { ArrowRight: at < last ? at + 1 : 0, ArrowLeft: at > 0 ? at - 1 : last, Home: 0, End: last }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    links[to]!.focus();
  };
  const nav = useRef<HTMLElement>(null);
  const shown = panel.value;
  useEffect(() => {
    // On a phone the tab may be outside the visible part of the row.
    nav.current?.querySelector(`[data-tab="${shown}"]`)?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }, [shown]);
  return (
    <nav class="tabs" aria-label="Panels" onKeyDown={move} ref={nav}>
      {PANELS.map(({ name, title }) => (
        <a
          key={name}
          data-tab={name}
          href={queryOf(name)}
          aria-current={shown === name ? 'page' : undefined}
          onClick={(event) => {
            if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || event.button !== 0) return;
            event.preventDefault();
            showPanel(name);
          }}
        >
          {title}
        </a>
      ))}
    </nav>
  );
}
