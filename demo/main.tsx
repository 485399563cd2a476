// The page's entry: styles, the app, and, on a built site, the service worker that keeps it for a reload without a network.
import './ui/tokens.css';
import './ui/base.css';
import './ui/ui.css';
import './app/app.css';
import { render } from 'preact';
import { App } from './app/app.js';
import { PANELS } from './app/panels.js';
import { bindUrl } from './app/url-state.js';

bindUrl(PANELS.map(({ name }) => name));
render(<App />, document.getElementById('app')!);

if (import.meta.env.PROD && navigator.serviceWorker) {
  // After the page has what it needs: the worker fetches every panel for later.
  addEventListener('load', () => navigator.serviceWorker.register('./sw.js').catch(() => {})); // a page that is only read online works too
}
