// All that was measured as a text of Markdown, to paste into the form of an issue: the adapter, the browser, versions, figures and conditions. Pure.

import { milliseconds, percent, short, whole } from '../../ui/numbers.js';
import type { DeviceFacts } from '../../worker/rpc.js';
import { against, bound, counts, llmShare, ours, players, roofOf, spread } from './figures.js';
import type { Measured } from './jobs/index.js';
import type { LlmMeasured } from './jobs/llm-settings.js';
import type { TuneResult } from './jobs/tuning.js';
import { conditionsOf, VOICE_COLUMNS, voiceRow } from './llm-words.js';

export interface Reported {
  readonly facts: DeviceFacts;
  readonly userAgent: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly date: string;
  readonly link: string;
  readonly isolated: boolean;
  readonly llm?: LlmMeasured | undefined;
  readonly products?: Measured | undefined;
  readonly tuned?: TuneResult | undefined;
}

/** A cell of a table: what Markdown or a new line would break is taken out. */
const cell = (text: string): string => text.replace(/[\r\n]+/g, ' ').replaceAll('|', '\\|');
const row = (cells: readonly string[]): string => `| ${cells.map(cell).join(' | ')} |`;
const table = (head: readonly string[], rows: readonly (readonly string[])[]): string[] => [
  row(head),
  row(head.map(() => '---')),
  ...rows.map(row),
];

function adapterOf({ facts, userAgent, versions, date, isolated, link }: Reported): string[] {
  const { caps } = facts;
  const name = [facts.description || facts.device, facts.architecture, facts.vendor].filter(Boolean).join(', ') || 'not disclosed';
  return [
    '## GPU report of antiquant',
    '',
    ...table(
      ['What', 'Value'],
      [
        ['Adapter', `${name}${caps.software ? ' (software: the CPU runs the shaders)' : ''}`],
        ['Features', facts.features.join(', ') || 'none'],
        ['WGSL', facts.language.join(', ') || 'none'],
        ['Subgroups', caps.subgroups ? `${caps.minSubgroupSize} to ${caps.maxSubgroupSize}` : 'none'],
        ['Largest binding', `${whole(caps.maxStorageBufferBindingSize)} bytes`],
        ['Round trip of an empty submission', milliseconds(facts.roundTrip)],
        ['Browser', userAgent],
        ['Isolated', isolated ? 'yes' : 'no'],
        [
          'Versions',
          Object.entries(versions)
            .map(([key, value]) => `${key} ${value}`)
            .join(', '),
        ],
        ['Date', date],
        ['Settings', link],
      ],
    ),
  ];
}

function modelOf(llm: LlmMeasured): string[] {
  const share = llmShare(llm);
  return [
    '',
    '### The language model',
    '',
    ...table(
      ['Who', ...VOICE_COLUMNS],
      llm.voices.map((voice) => voiceRow(voice, llm)),
    ),
    '',
    `- ${whole(llm.dispatches)} dispatches a token; loaded in ${milliseconds(llm.loadMs)}`,
    `- a token reads ${whole(llm.bytes.weights)} bytes of weights and ${whole(llm.bytes.cache)} of keys and values`,
    `- copying: ${short(llm.copy / 1e9)} GB/s, read and written${share === undefined ? '' : `; a token takes ${percent(share)} of it`}`,
    `- ${conditionsOf(llm)}`,
    ...llm.notes.map((note) => `- ${note}`),
  ];
}

function productsOf({ host, settings, checked }: Measured): string[] {
  const roof = roofOf(host.cells);
  return [
    '',
    `### Products, K × N ${settings.k} × ${settings.n}, int${settings.bits}, ${settings.group === 0 ? 'per channel' : `groups of ${settings.group}`}, ${settings.dtype}${settings.offset ? ', offsets' : ''}`,
    '',
    ...table(
      ['M', 'Who', 'Median', 'Least to most', 'Times ours', 'Detail'],
      host.cells.flatMap((one) =>
        players(one).map((t) => {
          const { median, least, most } = spread(t.ms);
          const times = counts(t) ? against(one, t) : undefined;
          const spanned = t.dropped ? 'timed once' : `${milliseconds(least)} – ${milliseconds(most)}`;
          const detail = t.wrong ? `wrong: ${t.wrong}` : t.dropped ? `left out: ${t.dropped}` : t.detail;
          return [String(one.m), t.name, milliseconds(median), spanned, times ? short(times.median) : '–', detail];
        }),
      ),
    ),
    '',
    ...host.cells.flatMap((one) => {
      const found = ours(one) && bound(one);
      return found
        ? [`- M = ${one.m}: ${percent(found.share)} of what ${found.limit === 'copy' ? 'copying' : 'multiplying and adding'} allows`]
        : [];
    }),
    ...(roof ? [`- limits: copying ${short(roof.copy / 1e9)} GB/s, ${short(roof.multiplyAdd / 1e9)} G multiply-adds/s`] : []),
    `- ${settings.rounds} rounds in turns, samples of about ${settings.sample} ms; ${checked.rows} rows of y checked against float64 before`,
    ...host.notes.map((note) => `- ${note}`),
  ];
}

const tunedOf = ({ products }: TuneResult): string[] => [
  '',
  '### Tuned',
  '',
  ...table(
    ['M', 'Won', 'Planner’s choice', 'Faster by'],
    products.map(({ m, chosen, own, ratio }) => [String(m), chosen, own, own === chosen ? '–' : `${short(1 / ratio)} ×`]),
  ),
];

export function reportOf(all: Reported): string {
  const { facts, llm, products, tuned } = all;
  const lines = [
    ...adapterOf(all),
    ...(llm ? modelOf(llm) : []),
    ...(products ? productsOf(products) : []),
    ...(tuned && tuned.products.length > 0 ? tunedOf(tuned) : []),
    '',
    '<details><summary>Device, limits and self-tests</summary>',
    '',
    '```text',
    facts.report.replaceAll('```', "'''"),
    '```',
    '',
    '</details>',
  ];
  return `${lines.join('\n')}\n`;
}
