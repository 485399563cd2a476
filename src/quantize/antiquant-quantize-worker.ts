// The script of quantizeInWorker's worker. It is loaded by its URL, not imported.
import { type Port, serve } from './messages.js';

serve(globalThis as unknown as Port);
