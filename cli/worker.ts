// The script of a thread of pool.ts. It is loaded by its address, not imported.
import { parentPort } from 'node:worker_threads';
import { type Port, serve } from '../src/quantize/messages.js';

serve(parentPort as unknown as Port);
