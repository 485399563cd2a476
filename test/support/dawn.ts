// Dawn for Node as `navigator.gpu`. Without an adapter every test that requests a device fails.
import { create, globals } from 'webgpu';

Object.assign(globalThis, globals);
const holder = globalThis as { dawn?: GPU };
holder.dawn ??= create(['enable-dawn-features=allow_unsafe_apis']); // subgroup matrices; reachable for the life of the process: Dawn dies when it is collected
export const gpu: GPU = holder.dawn;
