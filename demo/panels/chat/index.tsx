// The panel "Chat": a language model that goes on with a text, or answers; what one token takes; the same model in fewer bits.
import { useEffect } from 'preact/hooks';
import './chat.css';
import { Bring } from './bring.js';
import { Controls } from './controls.js';
import { arrive, load, stop } from './state.js';
import { Talk } from './talk.js';
import { Token } from './token.js';
import { Widths } from './widths.js';

export default function Panel() {
  useEffect(() => {
    void arrive();
    return stop; // other panels want the GPU; “Go on” goes on
  }, []);
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: a file that misses the drop area must not leave the page; the area is the way by keys
    <div
      class="chat"
      onDragOver={(event) => event.preventDefault()}
      onDrop={(event) => {
        if (event.defaultPrevented) return; // the area took it
        event.preventDefault();
        const files = [...(event.dataTransfer?.files ?? [])];
        if (files.length > 0) void load({ files });
      }}
    >
      <Talk />
      <div class="chat-side">
        <Controls />
        <Bring />
      </div>
      <div class="chat-more">
        <Token />
        <Widths />
      </div>
    </div>
  );
}
