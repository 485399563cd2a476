// Shows the caps of the device that the plan is for, and all features and limits of this browser's device.
import { deviceName } from '../../app/device-line.js';
import { device } from '../../app/worker.js';
import { Facts } from '../../ui/facts.js';
import { whole } from '../../ui/numbers.js';
import { Table } from '../../ui/table.js';
import type { DeviceFacts } from '../../worker/rpc.js';
import { DEVICES } from './jobs/devices.js';
import type { Planned } from './jobs/plan.js';
import { otherDevice } from './state.js';

type Caps = Planned['caps'];

const MEANING: Readonly<Record<keyof Caps, string>> = {
  f16: 'shader-f16: x and y as halves, else as bits',
  subgroups: 'lanes pass values to each other',
  subgroupMatrix: 'products of matrices by a subgroup',
  vendor: 'decides what registers hold',
  lanes: 'invocations that keep it busy, a guess',
  software: 'the CPU runs the shaders',
  scaleUnits: 'scales of two levels are held as such',
  wideCodes: 'codes of 3 and 6 bits are held in 4 and 8',
  dot4: 'four int8 products an instruction',
  minSubgroupSize: 'lanes of the shortest subgroup',
  maxSubgroupSize: 'lanes of the longest subgroup',
  maxBufferSize: 'bytes of a buffer',
  maxStorageBufferBindingSize: 'bytes of a binding; longer operands go in several dispatches',
  maxStorageBuffersPerShaderStage: 'storage buffers that a dispatch binds',
  minStorageBufferOffsetAlignment: 'a binding starts at a multiple of these bytes',
  maxComputeWorkgroupsPerDimension: 'above it a grid is folded',
  maxComputeInvocationsPerWorkgroup: 'invocations of a tile, at most',
  maxComputeWorkgroupStorageSize: 'bytes that a workgroup shares',
};

function show(value: Caps[keyof Caps]): string {
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'number') return whole(value);
  if (typeof value === 'string') return value || 'not disclosed';
  return value.length === 0
    ? 'none'
    : value.map(({ componentType, resultComponentType, M, N, K }) => `${componentType} ${M}×${N}×${K} → ${resultComponentType}`).join(', ');
}

/** Limits that every WebGPU device has. */
const PROMISED: Readonly<Record<string, number>> = {
  maxTextureDimension1D: 8192,
  maxTextureDimension2D: 8192,
  maxTextureDimension3D: 2048,
  maxTextureArrayLayers: 256,
  maxBindGroups: 4,
  maxBindGroupsPlusVertexBuffers: 24,
  maxBindingsPerBindGroup: 1000,
  maxDynamicUniformBuffersPerPipelineLayout: 8,
  maxDynamicStorageBuffersPerPipelineLayout: 4,
  maxSampledTexturesPerShaderStage: 16,
  maxSamplersPerShaderStage: 16,
  maxStorageBuffersPerShaderStage: 8,
  maxStorageTexturesPerShaderStage: 4,
  maxUniformBuffersPerShaderStage: 12,
  maxUniformBufferBindingSize: 65536,
  maxStorageBufferBindingSize: 2 ** 27,
  minUniformBufferOffsetAlignment: 256,
  minStorageBufferOffsetAlignment: 256,
  maxVertexBuffers: 8,
  maxBufferSize: 2 ** 28,
  maxVertexAttributes: 16,
  maxVertexBufferArrayStride: 2048,
  maxInterStageShaderVariables: 16,
  maxColorAttachments: 8,
  maxColorAttachmentBytesPerSample: 32,
  maxComputeWorkgroupStorageSize: 16384,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupSizeX: 256,
  maxComputeWorkgroupSizeY: 256,
  maxComputeWorkgroupSizeZ: 64,
  maxComputeWorkgroupsPerDimension: 65535,
};

export function DevicePart({ planned }: { readonly planned: Planned }) {
  const now = device.value;
  const facts = now.state === 'ready' ? now.facts : undefined;
  const other = otherDevice.value;
  const name = other ? DEVICES[other].label : 'this device';
  const compare = Boolean(other && facts);
  return (
    <section class="stack wide-table" aria-labelledby="device-title">
      <div>
        <h3 id="device-title">The device</h3>
        <p class="dim">All that planning knows of {other ? `“${name}”` : 'this device'}; plans depend on nothing else of a device.</p>
      </div>
      <Table
        caption={other ? `As if on: ${name}` : 'This device'}
        columns={[
          { title: 'What' },
          { title: other ? name : 'This device' },
          ...(compare ? [{ title: 'This device' }] : []),
          { title: 'Why it counts' },
        ]}
        rows={(Object.keys(MEANING) as (keyof Caps)[]).map((key) => [
          <code key="name">{key}</code>,
          <span key="value" class="mono">
            {show(planned.caps[key])}
          </span>,
          ...(compare
            ? [
                <span key="mine" class="mono">
                  {show(facts!.caps[key])}
                </span>,
              ]
            : []),
          MEANING[key],
        ])}
      />
      {facts && <Browser facts={facts} />}
    </section>
  );
}

function Browser({ facts }: { readonly facts: DeviceFacts }) {
  const given = (text: string): string => text || 'not disclosed';
  const list = (names: readonly string[]) => (names.length > 0 ? names.join(', ') : 'none');
  const limits = Object.entries(facts.limits).sort(([a], [b]) => (a < b ? -1 : 1));
  return (
    <details>
      <summary>All that the browser tells about this device: {deviceName(facts)}</summary>
      <div class="stack">
        <Facts
          items={[
            ['Vendor', given(facts.vendor)],
            ['Architecture', given(facts.architecture)],
            ['Device', given(facts.device)],
            ['Description', given(facts.description)],
            ['Features of the device', list(facts.features)],
            ['Features of WGSL', list(facts.language)],
          ]}
        />
        <Table
          caption={`Limits of the device: ${limits.length}`}
          columns={[{ title: 'Limit' }, { title: 'Here', numeric: true }, { title: 'Everywhere at least', numeric: true }]}
          rows={limits.map(([name, value]) => [
            <code key="name">{name}</code>,
            whole(value),
            PROMISED[name] === undefined ? '' : name.startsWith('min') ? `at most ${whole(PROMISED[name])}` : whole(PROMISED[name]),
          ])}
        />
      </div>
    </details>
  );
}
