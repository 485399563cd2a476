// The table of jobs: panel → its file, which the panel's first call loads. A job's name is 'PANEL.JOB', as in call('operator.run', …).
//
// A file of jobs exports `jobs`, an object of functions (args, context: JobContext<Part>) => Promise<result or moved(result, buffers)>.
// The types of a call follow from it: JobArgs, JobResult and JobPart below. The page imports only types from this file.
import type { Job, JobContext, Unmoved } from './rpc.js';

export const tables = {
  chat: () => import('../panels/chat/jobs/index.js'),
  operator: () => import('../panels/operator/jobs/index.js'),
  picture: () => import('../panels/picture/jobs/index.js'),
  shader: () => import('../panels/shader/jobs/index.js'),
  bench: () => import('../panels/bench/jobs/index.js'),
  model: () => import('../panels/model/jobs/index.js'),
} as const satisfies Record<string, () => Promise<{ readonly jobs: Readonly<Record<string, Job>> }>>;

type Jobs = { [Panel in keyof typeof tables]: Awaited<ReturnType<(typeof tables)[Panel]>>['jobs'] };
export type JobName = { [Panel in keyof Jobs]: `${Panel}.${keyof Jobs[Panel] & string}` }[keyof Jobs];
type JobOf<Name extends JobName> = Name extends `${infer Panel extends keyof Jobs}.${infer Key}`
  ? Key extends keyof Jobs[Panel]
    ? Jobs[Panel][Key]
    : never
  : never;
export type JobArgs<Name extends JobName> = JobOf<Name> extends (args: infer Args, ...rest: never[]) => unknown ? Args : never;
export type JobResult<Name extends JobName> = JobOf<Name> extends (...args: never[]) => Promise<infer Result> ? Unmoved<Result> : never;
export type JobPart<Name extends JobName> = JobOf<Name> extends (args: never, context: JobContext<infer Part>) => unknown ? Part : never;

/** @throws Error for an unknown name */
export async function findJob(name: string): Promise<Job> {
  const [panel, key] = name.split('.') as [string, string];
  const load = Object.hasOwn(tables, panel) ? tables[panel as keyof typeof tables] : undefined;
  const jobs = (await load?.())?.jobs as Readonly<Record<string, Job>> | undefined;
  const job = jobs && Object.hasOwn(jobs, key) ? jobs[key] : undefined;
  if (!job) throw new Error(`job: expected one of the tables in demo/worker/jobs.ts, got ${name}`);
  return job;
}
