// Prints the adapter that Dawn for Node finds as one line of JSON; null without one. It runs as a child, since a driver may crash.
import { create, globals } from 'webgpu';

Object.assign(globalThis, globals);
globalThis.dawn = create([]); // reachable for the life of the process: Dawn dies when it is collected
const adapter = await globalThis.dawn.requestAdapter().catch(() => null);
const info = adapter?.info;
const software = (text) => /llvmpipe|lavapipe|swiftshader|software/i.test(text);
console.log(
  JSON.stringify(
    adapter && {
      vendor: info.vendor,
      architecture: info.architecture,
      description: info.description,
      software: info.isFallbackAdapter === true || software(`${info.vendor} ${info.architecture} ${info.device} ${info.description}`),
      features: [...adapter.features],
    },
  ),
);
process.exit(0);
