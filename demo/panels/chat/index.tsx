// The panel "Chat": a language model that goes on with a text, or answers; what one token takes; the same model in fewer bits.
import { useEffect } from 'preact/hooks';
import './chat.css';
import { Bring } from './bring.js';
import { Controls } from './controls.js';
import { arrive, stop } from './state.js';
import { Talk } from './talk.js';
import { Token } from './token.js';
import { Widths } from './widths.js';

export default function Panel() {
  useEffect(() => {
    void arrive();
    return stop; // other panels want the GPU; “Go on” goes on
  }, []);
  return (
    <div class="chat">
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
