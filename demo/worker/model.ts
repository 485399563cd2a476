// The jobs of the panel "model".
import type { Job } from './rpc.js';

export const jobs = {} as const satisfies Record<string, Job>;
