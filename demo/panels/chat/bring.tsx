// The model: what is loaded, and the ways to bring another: a file, or a URL that is read by range requests.
import { Button } from '../../ui/button.js';
import { FileDrop } from '../../ui/file-drop.js';
import { bytes, counted, duration, whole } from '../../ui/numbers.js';
import { JobProblem, Progress } from '../../ui/progress.js';
import { address, isOwn, load, loading, model } from './state.js';

export function Bring() {
  const now = model.value;
  const running = loading.status.value === 'running';
  return (
    <section class="card stack" aria-labelledby="chat-model">
      <h3 id="chat-model">Bring your own model</h3>
      {now && (
        <p>
          <span class="mono">{now.name}</span>, {bytes(now.bytes)}, loaded in {duration(now.loadMs)}: {now.architecture} of{' '}
          {counted(now.layers, 'layer')}, width {whole(now.width)}, {whole(now.vocabulary)} tokens, context {whole(now.context)}.{' '}
          {now.chats ? 'It answers: the file has a chat template.' : 'It goes on with a text: the file has no chat template.'}
        </p>
      )}
      <FileDrop label="Drop a GGUF file here, or choose it" accept=".gguf" multiple onFiles={(files) => void load({ files })}>
        llama, mistral, qwen, gemma, phi and others; a split model with all of its parts.{' '}
        <strong>It stays on this machine: nothing is uploaded.</strong>
      </FileDrop>
      <form
        class="chat-url"
        onSubmit={(event) => {
          event.preventDefault();
          if (address.value.trim() !== '') void load({ url: address.value.trim() });
        }}
      >
        <div class="field">
          <label for="chat-url">Or its URL</label>
          <input
            id="chat-url"
            type="text"
            inputMode="url"
            placeholder="https://…/model.gguf"
            value={address.value}
            onInput={({ currentTarget: { value } }) => {
              address.value = value;
            }}
          />
        </div>
        <Button type="submit" disabled={address.value.trim() === ''}>
          Load
        </Button>
      </form>
      <small>The server must allow other pages to read it (CORS). It is read in parts, straight to the GPU.</small>
      {!isOwn.value && !running && (
        <p>
          <Button onClick={() => void load({ own: true })}>Back to the model of this page</Button>
        </p>
      )}
      {!isOwn.value && <Progress job={loading} label="Loading the model" />}
      <JobProblem job={loading} what={now ? 'The model could not be loaded; the one before stays.' : 'The model could not be loaded.'} />
    </section>
  );
}
