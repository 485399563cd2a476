// The script of a thread of pool.ts. It is loaded by its URL, not imported.
import { parentPort } from 'node:worker_threads';
import { type Port, serve } from '../src/quantize/messages.js';

serve(parentPort as unknown as Port);
