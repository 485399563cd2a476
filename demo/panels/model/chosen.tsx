// The chosen tensor: its description, and for a matrix a view of it, quantizing it again, and running it.

import { Button } from '../../ui/button.js';
import { type Fact, Facts } from '../../ui/facts.js';
import { Notice } from '../../ui/notice.js';
import { bytes, counted, whole } from '../../ui/numbers.js';
import { JobProblem, Progress } from '../../ui/progress.js';
import type { OpenedModel, Row } from './jobs/open.js';
import { LookAt } from './look.js';
import { Requantize } from './requantize.js';
import { Run } from './run.js';
import { chosen, look, looking, target } from './state.js';

const shapeOf = ({ shape }: Row): string => (shape.length === 0 ? 'a scalar' : shape.map(whole).join(' × '));

export function Chosen({ file }: { readonly file: OpenedModel }) {
  const row = chosen.value;
  const now = target.value;
  if (!row) return <p>Choose a tensor of the list to see it.</p>;
  const layer = now && (now.kind === 'layer' ? file.layers : file.floats)[now.index];
  const shown = looking.result.value;
  const mine = now && shown && JSON.stringify(shown.target) === JSON.stringify(now) ? shown : undefined;
  const name = layer?.name || row.name;
  return (
    <article class="stack" data-target={now && `${now.kind} ${now.index}`} aria-label="The chosen tensor">
      <h3 class="mono model-name">{name}</h3>
      {layer ? (
        <p>
          {now.kind === 'layer' ? layer.format : `${layer.format}, not quantized`}: {whole(layer.n)} outputs × {whole(layer.k)} inputs
          {layer.experts !== undefined && `, the first of ${counted(layer.experts, 'expert')}`}
        </p>
      ) : (
        <Facts items={otherFacts(row)} />
      )}
      {row.kind === 'refused' && <Notice kind="warn">{`The layer of this tensor was refused. ${row.problem ?? row.role}.`}</Notice>}
      {row.kind === 'other' && (
        <Notice kind="info">This tensor is neither part of a quantized layer nor a float matrix, so it cannot run.</Notice>
      )}
      {layer && (
        <>
          <div class="job">
            {!mine && looking.status.value !== 'running' && <Button onClick={look}>Look at its {whole(layer.n * layer.k)} weights</Button>}
            <Progress job={looking} label="Reading the layer" />
            <JobProblem job={looking} what="The layer could not be read." />
          </div>
          {mine && <LookAt shown={mine} />}
          <Requantize kind={now.kind} />
          <Run kind={now.kind} />
        </>
      )}
    </article>
  );
}

const otherFacts = (row: Row): Fact[] => [
  ['What it is', row.role],
  ['dtype', row.dtype],
  ['Shape', shapeOf(row)],
  ['Bytes', bytes(row.bytes)],
];
