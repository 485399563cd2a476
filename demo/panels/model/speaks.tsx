// Can the opened file chat? A button that opens the panel "Chat" with it, or a sentence why not.
import { sentence } from '../../app/sentence.js';
import { Button } from '../../ui/button.js';
import { Notice } from '../../ui/notice.js';
import { bytes, counted, whole } from '../../ui/numbers.js';
import { JobProblem } from '../../ui/progress.js';
import type { OpenedModel } from './jobs/open.js';
import { chat, speaking, speaks } from './state.js';

export function Speaks({ file }: { readonly file: OpenedModel }) {
  const found = speaks.value;
  return (
    <section class="model-speaks" aria-label="Chat" aria-busy={speaking.status.value === 'running'}>
      {!found && speaking.status.value === 'running' && <p class="model-dim">Is it a language model?</p>}
      {found && 'why' in found && <Notice kind="info">{`It cannot chat here. ${sentence(found.why)}`}</Notice>}
      {found && 'architecture' in found && (
        <>
          <Button kind="primary" onClick={() => void chat()}>
            Chat with it
          </Button>
          <p>
            <strong class="mono">{file.name}</strong> is a language model: {found.architecture}, {counted(found.layers, 'layer')},{' '}
            {whole(found.vocabulary)} tokens. {found.chats ? 'It answers messages.' : 'It goes on with a text.'}{' '}
            <span class="model-dim">It takes some {bytes(found.memory)} of the GPU’s memory, and is read from the same file.</span>
          </p>
        </>
      )}
      <JobProblem job={speaking} what="Whether it can chat could not be found out." />
    </section>
  );
}
