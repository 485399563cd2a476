// The page's entry: styles, the app and, on a built site, the service worker, which makes the page work offline.
import './ui/tokens.css';
import './ui/base.css';
import './ui/ui.css';
import './app/app.css';
import { render } from 'preact';
import { App } from './app/app.js';
import { PANELS } from './app/panels.js';
import { whenQuiet } from './app/quiet.js';
import { registerServiceWorker } from './app/start-worker.js';
import { bindUrl, panel } from './app/url-state.js';

/** The panel that works at once. */
const FIRST = 'chat';

bindUrl(PANELS.map(({ name }) => name));
render(<App />, document.getElementById('app')!);

if (import.meta.env.PROD && navigator.serviceWorker) {
  // After the first work, since the service worker fetches every panel. Without it the page works online only.
  const register = (): void => void registerServiceWorker().catch(() => {});
  if (panel.peek() === FIRST) whenQuiet(register);
  else addEventListener('load', register);
}
