// Where the time of one token went: the kinds of its dispatches, measured in a second, slower build of passes.
import { Button } from '../../ui/button.js';
import { milliseconds, percent, whole } from '../../ui/numbers.js';
import { JobProblem, Progress } from '../../ui/progress.js';
import { Table } from '../../ui/table.js';
import { busy, measureTimes, type Profiled, profiled, profiling } from './state.js';
import { WORDS } from './step-words.js';

export function Times() {
  const now = profiled.value;
  const running = profiling.status.value === 'running';
  return (
    <div class="stack chat-times">
      <h4>Where the time went</h4>
      <div class="chat-compare">
        <Button label="Measure where the time went" disabled={busy.value || running} onClick={() => void measureTimes()}>
          Measure
        </Button>
        <Progress job={profiling} label="Measuring a token" />
      </div>
      <JobProblem job={profiling} what="The token could not be measured." />
      {now && (now.result ? <Parts profile={now.result} at={now.at} /> : <Without />)}
    </div>
  );
}

const Without = () => (
  <p class="chat-without">
    This adapter has no timestamps (<code>timestamp-query</code>), so nobody can say where the time of a token goes here. Chrome and Edge
    have them on most GPUs.
  </p>
);

function Parts({ profile, at }: { readonly profile: NonNullable<Profiled['result']>; readonly at: number }) {
  const { parts, passesMs, ms, tokens } = profile;
  const rows = new Map<string, { dispatches: number; ms: number }>();
  for (const { of, ...part } of parts) {
    const words = WORDS[of] ?? of;
    const known = rows.get(words) ?? { dispatches: 0, ms: 0 };
    rows.set(words, { dispatches: known.dispatches + part.dispatches, ms: known.ms + part.ms });
  }
  const sum = parts.reduce((all, part) => all + part.ms, 0);
  const most = Math.max(...[...rows.values()].map((row) => row.ms));
  return (
    <>
      <p>
        Token {whole(at + 1)}, {milliseconds(ms)} on the GPU. The shares were measured in a second, slower build of passes, one for each
        group of dispatches, in which it takes {milliseconds(passesMs)}: means of {whole(tokens)} runs, by timestamps of the GPU.
      </p>
      <Table
        caption="Where the time of a token went"
        hideCaption
        columns={[
          { title: 'What' },
          { title: 'Dispatches', numeric: true },
          { title: 'Time', numeric: true },
          { title: 'Share', numeric: true },
          { title: '' },
        ]}
        rows={[...rows].map(([words, row]) => [
          words,
          whole(row.dispatches),
          milliseconds(row.ms),
          percent(sum > 0 ? row.ms / sum : 0),
          <span key="bar" class="chat-bar" aria-hidden="true">
            <span style={{ width: `${most > 0 ? (100 * row.ms) / most : 0}%` }} />
          </span>,
        ])}
      />
    </>
  );
}
