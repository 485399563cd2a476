// The language model's figures: tokens a second, the first token, the share of what copying allows, and wllama beside it.
import { Notice } from '../../ui/notice.js';
import { bytes, counted, duration, milliseconds, percent, short, whole } from '../../ui/numbers.js';
import { Table } from '../../ui/table.js';
import { llmShare, spread, voiceFigures } from './figures.js';
import type { LlmMeasured } from './jobs/llm-settings.js';
import { conditionsOf, sizes, VOICE_COLUMNS, voiceRow } from './llm-words.js';

export function LanguageModel({ measured }: { readonly measured: LlmMeasured }) {
  const { voices, dispatches, bytes: read, copy, memory, model, notes } = measured;
  const mine = voices.find(({ family }) => family === 'ours')!;
  const { decode, prompt, first } = voiceFigures(mine, measured.tokens.prompt);
  const share = llmShare(measured);
  const total = Object.values(memory).reduce((a, b) => a + b, 0);
  const perToken = read.weights + read.cache;
  return (
    <section class="card stack bench-llm" aria-labelledby="bench-llm-title" data-decode={decode} data-prompt={prompt} data-first={first}>
      <h3 id="bench-llm-title">The language model</h3>
      <dl class="bench-figures">
        <Figure name="Tokens a second" value={short(decode)} remark={`median of ${counted(mine.decode.length, 'round')}`} />
        <Figure name="Prompt tokens a second" value={short(prompt)} remark="until the first token behind them" />
        <Figure name="To the first token" value={duration(first)} remark={`a prompt of ${sizes(measured.tokens.prompt)}`} />
        <Figure name="Dispatches a token" value={whole(dispatches)} remark={counted(model.layers, 'layer')} />
        {share !== undefined && (
          <Figure
            name="Of what copying allows"
            value={percent(share)}
            remark={`a token reads ${bytes(perToken)}; copying: ${short(copy / 1e9)} GB/s`}
          />
        )}
        <Figure name="GPU memory" value={bytes(total)} remark={`loaded in ${duration(measured.loadMs)}`} />
      </dl>
      {voices.length > 1 && <Beside measured={measured} />}
      {notes.map((note) => (
        <Notice key={note} kind="info">
          {`${note}.`}
        </Notice>
      ))}
      <small>{conditionsOf(measured)}</small>
    </section>
  );
}

const Figure = ({ name, value, remark }: { readonly name: string; readonly value: string; readonly remark: string }) => (
  <div>
    <dt>{name}</dt>
    <dd>
      <strong>{value}</strong>
      <small>{remark}</small>
    </dd>
  </div>
);

function Beside({ measured }: { readonly measured: LlmMeasured }) {
  return (
    <Table
      caption="The same model behind the same texts"
      columns={[
        { title: 'Who' },
        ...VOICE_COLUMNS.map((title) => ({ title, numeric: true })),
        { title: 'A token, least to most', numeric: true },
      ]}
      rows={measured.voices.map((voice) => {
        const { least, most } = spread(voice.decode);
        return [...voiceRow(voice, measured), `${milliseconds(least)} – ${milliseconds(most)}`];
      })}
    />
  );
}
