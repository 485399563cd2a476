// The result of tuning: for each number of rows the fastest kernel and tile, and its gain.
import { Button } from '../../ui/button.js';
import { Notice } from '../../ui/notice.js';
import { counted, short } from '../../ui/numbers.js';
import { Table } from '../../ui/table.js';
import type { TuneResult } from './jobs/tuning.js';

export function Tuned({ result, busy, onForget }: { readonly result: TuneResult; readonly busy: boolean; readonly onForget: () => void }) {
  const { settings, products, unknown, kept } = result;
  return (
    <section class="card stack bench-tuned" aria-label="Tuning">
      <Table
        caption={`Tuned: int${settings.bits}, ${settings.group === 0 ? 'per channel' : `groups of ${settings.group}`}, ${settings.dtype}, K × N ${settings.k} × ${settings.n}`}
        columns={[
          { title: 'Rows' },
          { title: 'Won' },
          { title: 'Planner’s own choice' },
          { title: 'Measured' },
          { title: 'Compared', numeric: true },
          { title: 'Faster by', numeric: true },
        ]}
        rows={products.map(({ m, own, chosen, ratio, candidates, date, known, short: hurried }) => [
          `M = ${m}`,
          <code key="chosen">{chosen}</code>,
          own === chosen ? 'the same' : <code key="own">{own}</code>,
          `${known ? `earlier, on ${date}` : 'now'}${hurried ? '; too short to be sure' : ''}`,
          String(candidates),
          own === chosen ? '–' : `${short(1 / ratio)} ×`,
        ])}
      />
      {unknown.length > 0 && (
        <Notice kind="info">{`For M = ${unknown.join(', ')} there is only one candidate, or measuring failed.`}</Notice>
      )}
      <p>
        {`${counted(kept, 'choice')} of this adapter ${kept === 1 ? 'is' : 'are'} stored in this browser, for every page and panel of this site that prepares such a product; the next measurement uses ${kept === 1 ? 'it' : 'them'}.`}{' '}
        <Button kind="quiet" onClick={onForget} disabled={busy}>
          Forget all
        </Button>
      </p>
    </section>
  );
}
