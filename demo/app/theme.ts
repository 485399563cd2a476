// The theme: the system's, or the reader's choice, which this browser stores. ui/tokens.css has the colours.
import { computed, effect, signal } from '@preact/signals';

export const THEMES = ['auto', 'light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];
const KEY = 'antiquant-theme';

/** The stored choice. Storage may be forbidden. */
const stored = (): Theme => {
  try {
    return THEMES.find((name) => name === localStorage.getItem(KEY)) ?? 'auto';
  } catch {
    return 'auto';
  }
};

export const theme = signal<Theme>(stored());
const query = matchMedia('(prefers-color-scheme: dark)');
const system = signal(query.matches);
query.addEventListener('change', ({ matches }) => {
  system.value = matches;
});

/** Is the current theme dark? For canvases and charts; CSS does not need it. */
export const dark = computed(() => (theme.value === 'auto' ? system.value : theme.value === 'dark'));

effect(() => {
  const now = theme.value;
  if (now === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = now;
  try {
    if (now === 'auto') localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, now);
  } catch {
    // Without storage, the choice lasts as long as the page.
  }
});
