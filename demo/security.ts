// The Content-Security-Policy of the built page, as a <meta> of each of its documents: nothing runs but the site's own files, nothing is evaluated,
// and scripts are named by Trusted Types alone. Data go out over https only, to where the reader's URL of a model says. Only vite.config.ts uses
// this file.
import { createHash } from 'node:crypto';
import type { Plugin } from 'vite';

type Policy = Readonly<Record<string, readonly string[]>>;

const SHARED: Policy = {
  'default-src': ["'none'"],
  'script-src': ["'self'"],
  'connect-src': ["'self'", 'https:'],
  'worker-src': ["'self'", 'blob:'], // start-worker.ts says why
  'base-uri': ["'none'"],
  'form-action': ["'none'"],
  'trusted-types': ['antiquant'],
  'require-trusted-types-for': ["'script'"],
};

/** By document. */
const POLICIES: Readonly<Record<string, Policy>> = {
  'index.html': {
    ...SHARED,
    'style-src': ["'self'"],
    'img-src': ["'self'", 'data:', 'blob:'],
    'frame-src': ["'self'"],
  },
  // WebAssembly of onnxruntime-web and of wllama; their files are the site's own.
  'wasm.html': { ...SHARED, 'script-src': ["'self'", "'wasm-unsafe-eval'"], 'connect-src': ["'self'"] },
};

/** Inline scripts are allowed by their text. */
function hashesOf(html: string): string[] {
  const inline = [...html.matchAll(/<script>([\s\S]*?)<\/script>/g)].map(([, text]) => text!);
  return inline.map((text) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`);
}

export const security = (): Plugin => ({
  name: 'antiquant-security',
  apply: 'build',
  transformIndexHtml: {
    order: 'post',
    handler(html, { path }) {
      const policy = POLICIES[path.replace(/^.*\//, '')];
      if (!policy) throw new Error(`security: expected one of ${Object.keys(POLICIES).join(', ')}, got ${path}`);
      const all = { ...policy, 'script-src': [...policy['script-src']!, ...hashesOf(html)] };
      const content = Object.entries(all)
        .map(([name, values]) => `${name} ${values.join(' ')}`)
        .join('; ');
      const charset = /<meta charset="utf-8">/i;
      if (!charset.test(html)) throw new Error(`security: expected a charset in ${path}`);
      return html.replace(charset, (found) => `${found}\n<meta http-equiv="Content-Security-Policy" content="${content}">`);
    },
  },
});

const WRITES = /(append|insert)\("style"/;

/** Observable Plot writes a <style> into each chart, which the policy forbids; ui/chart.css has the same rules. */
export const plotWithoutStyles = (): Plugin => ({
  name: 'antiquant-plot-without-styles',
  enforce: 'pre',
  apply: 'build',
  transform(code, id) {
    if (!/@observablehq\/plot\/src\/.*\.js$/.test(id) || !WRITES.test(code)) return null;
    const changed = code.replace(/\b(svg|div)\.(?:append|insert)\("style"(?:, "\*")?\)\.text\(\s*`[^`]*`\s*\)/g, '$1');
    if (WRITES.test(changed)) throw new Error(`security: ${id} writes its styles in another way than it did`);
    return { code: changed, map: null };
  },
});
