// Shiki with the WGSL grammar and two themes, on JavaScript's regular expressions. The first CodeView loads it.
import { createHighlighterCore } from 'shiki/core';
import { createJavaScriptRegexEngine } from 'shiki/engine/javascript';
import wgsl from 'shiki/langs/wgsl.mjs';
import darkTheme from 'shiki/themes/github-dark-default.mjs';
import lightTheme from 'shiki/themes/github-light-high-contrast.mjs';

export interface Piece {
  readonly text: string;
  /** Colours in the light and in the dark theme. */
  readonly light?: string | undefined;
  readonly dark?: string | undefined;
}

const highlighter = createHighlighterCore({ langs: [wgsl], themes: [lightTheme, darkTheme], engine: createJavaScriptRegexEngine() });

/** Highlights code: for each line its pieces with colours. */
export async function highlight(code: string): Promise<Piece[][]> {
  const shiki = await highlighter;
  const { tokens } = shiki.codeToTokens(code, {
    lang: 'wgsl',
    themes: { light: lightTheme.name!, dark: darkTheme.name! },
    defaultColor: false,
  });
  return tokens.map((line) =>
    line.map(({ content, htmlStyle }) => ({
      text: content,
      light: (htmlStyle as Record<string, string> | undefined)?.['--shiki-light'],
      dark: (htmlStyle as Record<string, string> | undefined)?.['--shiki-dark'],
    })),
  );
}
