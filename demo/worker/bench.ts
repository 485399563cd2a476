// The jobs of the panel "bench".
import type { Job } from './rpc.js';

export const jobs = {} as const satisfies Record<string, Job>;
