// The settings: the rows of the tables as controls.
import { NumberField, Segmented } from '../../ui/fields.js';
import { HOLDING, type SettingRow, SPEAKING } from './settings.js';
import { model, system } from './state.js';

function Control({ row }: { readonly row: SettingRow }) {
  if ('choices' in row)
    return (
      <Segmented label={row.label} value={row.value} hint={row.hint} options={row.choices.map(([value, label]) => ({ value, label }))} />
    );
  const { label, value, min, max, step, hint } = row;
  return <NumberField {...{ label, value, min, max, step, hint }} />;
}

export const Controls = () => (
  <section class="card stack" aria-labelledby="chat-settings">
    <h3 id="chat-settings">How it is written</h3>
    <div class="controls chat-controls">
      {SPEAKING.map((row) => (
        <Control key={row.option} row={row} />
      ))}
    </div>
    {model.value?.chats && (
      <div class="field chat-system">
        <label for="chat-system">System prompt</label>
        <textarea
          id="chat-system"
          rows={3}
          value={system.value}
          onInput={({ currentTarget: { value } }) => {
            system.value = value;
          }}
        />
        <small>It stands before the conversation, from the next answer on.</small>
      </div>
    )}
    <details>
      <summary>How the model is held</summary>
      <div class="controls chat-controls">
        {HOLDING.map((row) => (
          <Control key={row.option} row={row} />
        ))}
      </div>
      <small>These count from the next model on that is loaded.</small>
    </details>
  </section>
);
