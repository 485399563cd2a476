// The page's entry: styles, the app and, on a built site, the service worker, which makes the page work offline.
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
  // After loading, since the service worker fetches every panel.
  addEventListener('load', () => navigator.serviceWorker.register('./sw.js').catch(() => {})); // without it the page works online only
}
