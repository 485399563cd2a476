// A channel of messages that looks like a Worker, whose other end serves a language model. It clones what it carries as a Worker's messages do.
import { MessageChannel } from 'node:worker_threads';
import type { Port } from '../../src/llm-worker/messages.js';
import { serve } from '../../src/llm-worker/serve.js';

const ports: { close(): void }[] = [];

/** @param heard is told of each message that goes to the page */
export function channelWorker(heard: (message: unknown) => void = () => {}): Worker {
  const { port1, port2 } = new MessageChannel();
  ports.push(port1, port2);
  const own: Partial<Worker> = {
    postMessage: (message: unknown) => port1.postMessage(message),
    terminate: () => port1.close(),
    onmessage: null,
    onerror: null,
  };
  port1.on('message', (data) => {
    heard(data);
    own.onmessage?.call(own as Worker, { data } as MessageEvent);
  });
  const port: Port = { postMessage: (message, transfer) => port2.postMessage(message, transfer as never), onmessage: null };
  port2.on('message', (data) => port.onmessage?.({ data } as MessageEvent));
  serve(port);
  return own as Worker;
}

/** Ends all channels that were made. */
export function closeChannels(): void {
  for (const port of ports.splice(0)) port.close();
}
