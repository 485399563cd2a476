// @mlc-ai/web-xgrammar in Node: its file is UMD in a package of modules, which neither `import` nor `require` takes. A copy named .cjs is required.
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

type Xgrammar = Pick<typeof import('@mlc-ai/web-xgrammar'), 'GrammarCompiler' | 'GrammarMatcher' | 'TokenizerInfo'>;

export function xgrammar(): Xgrammar {
  const folder = mkdtempSync(join(tmpdir(), 'antiquant-xgrammar-'));
  try {
    const copy = join(folder, 'xgrammar.cjs');
    copyFileSync(join(import.meta.dirname, '../../node_modules/@mlc-ai/web-xgrammar/lib/index.js'), copy);
    const { GrammarCompiler, GrammarMatcher, TokenizerInfo } = createRequire(import.meta.url)(copy) as Xgrammar;
    return { GrammarCompiler, GrammarMatcher, TokenizerInfo };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
