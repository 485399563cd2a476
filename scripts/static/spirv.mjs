// WGSL → SPIR-V text by Dawn's compiler for Vulkan. It runs as a child with the Vulkan variables of an adapter and reads [{ id, code }]
// from stdin. It prints Dawn's dump of each pipeline after a line `@@ id`, or `@@ id !` and the reason.
import { readFileSync, writeSync } from 'node:fs';
import { create, globals } from 'webgpu';

Object.assign(globalThis, globals);
globalThis.dawn = create(['enable-dawn-features=dump_shaders,disable_symbol_renaming,allow_unsafe_apis']);
const adapter = await globalThis.dawn.requestAdapter();
const features = ['shader-f16', 'subgroups', 'chromium-experimental-subgroup-matrix'].filter((name) => adapter.features.has(name));
const names = [
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
  'maxComputeWorkgroupStorageSize',
];
const limits = Object.fromEntries(names.map((name) => [name, adapter.limits[name]]));
const device = await adapter.requestDevice({ requiredFeatures: features, requiredLimits: limits });

for (const { id, code } of JSON.parse(readFileSync(0, 'utf8'))) {
  writeSync(1, `\n@@ ${id}\n`);
  device.pushErrorScope('validation');
  try {
    const module = device.createShaderModule({ code });
    await device.createComputePipelineAsync({ layout: 'auto', compute: { module, entryPoint: 'main' } });
  } catch (error) {
    writeSync(1, `\n@@ ${id} !\n${error.message}\n`);
  }
  await device.popErrorScope();
}
writeSync(1, '\n@@ end\n');
process.exit(0);
