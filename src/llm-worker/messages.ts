// The messages between a page and the worker that its language model runs in.

import type { LogRecord } from '../log.js';
import { readyOf } from '../workers/start-worker.js';
import type { CarriedError } from './carried.js';

export const READY = readyOf('antiquant llm');

/** Pieces that the worker may be ahead of the page. */
export const WINDOW = 16;

/** Methods of Llm that answer once. */
export type Call =
  | 'load'
  | 'logits'
  | 'prepare'
  | 'reset'
  | 'explain'
  | 'profile'
  | 'stats'
  | 'position'
  | 'encode'
  | 'decode'
  | 'vocabulary'
  | 'render'
  | 'hasTemplate'
  | 'fork'
  | 'destroy';
/** Methods that answer piece by piece. */
export type Stream = 'generate' | 'complete' | 'chat';

/** Calls whose options may be functions or signals of the page; of others they are refused. */
export const carriesFunctions = (call: Call | Stream): boolean => ['load', 'profile', 'generate', 'complete', 'chat'].includes(call);

/** To the worker; `id` names the call that it is of. */
export type Asked =
  /** `model` is the sequence that is asked: 0 of `load`, others of `fork`. `functions` are the names of options that are functions of the page. */
  | {
      readonly id: number;
      readonly model: number;
      readonly call: Call | Stream;
      readonly given: readonly unknown[];
      readonly functions: readonly string[];
    }
  /** One piece was taken. */
  | { readonly id: number; readonly kind: 'taken' }
  /** Nothing more is wanted. */
  | { readonly id: number; readonly kind: 'end' }
  | { readonly id: number; readonly kind: 'abort' }
  /** What a function of the page returned, or threw. */
  | { readonly id: number; readonly kind: 'returned'; readonly turn: number; readonly value?: unknown; readonly error?: CarriedError };

/** To the page. */
export type Told =
  | { readonly id: number; readonly kind: 'value'; readonly value: unknown }
  | { readonly id: number; readonly kind: 'piece'; readonly piece: unknown }
  | { readonly id: number; readonly kind: 'error'; readonly error: CarriedError }
  /** A record for the page's logger; of the call of `load`, also after it has ended. */
  | { readonly id: number; readonly kind: 'log'; readonly record: LogRecord }
  /** Calls a function of the page. */
  | { readonly id: number; readonly kind: 'ask'; readonly turn: number; readonly name: string; readonly given: readonly unknown[] };

/** The parts of a worker's global scope, or of a MessagePort, that the worker's side uses. */
export interface Port {
  postMessage(message: unknown, transfer?: Transferable[]): void;
  onmessage: ((event: MessageEvent) => unknown) | null;
}
