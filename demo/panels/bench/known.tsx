// What is known of the GPU before anything is timed, so that the panel opens with an answer.
import { deviceName } from '../../app/device-line.js';
import { device } from '../../app/worker.js';
import { type Fact, Facts } from '../../ui/facts.js';
import { bytes, milliseconds } from '../../ui/numbers.js';

export function Known() {
  const now = device.value;
  if (now.state !== 'ready') return null;
  const { facts } = now;
  const { caps } = facts;
  const items: Fact[] = [
    ['Adapter', deviceName(facts), caps.software ? 'software: the CPU runs the shaders, so its times say nothing about GPUs' : undefined],
    ['Round trip', milliseconds(facts.roundTrip), 'an empty submission and the wait for it: every time contains it'],
    ['float16', caps.f16 ? 'computed' : 'read and written as bits', caps.f16 ? 'shader-f16' : 'the adapter has no shader-f16'],
    ['Subgroups', caps.subgroups ? `of ${[...new Set([caps.minSubgroupSize, caps.maxSubgroupSize])].join(' to ')}` : 'none'],
    ['Largest weights in one binding', bytes(caps.maxStorageBufferBindingSize), 'larger ones are cut'],
  ];
  return (
    <section class="stack" aria-label="Known before timing">
      <Facts items={items} />
      <p class="bench-before">
        Contenders do the same work on this machine, in turns. Answers of products are checked against the reference before timing. Two more
        kernels measure the machine’s limits: how fast it copies, and how fast it multiplies and adds. Nothing is uploaded.
      </p>
    </section>
  );
}
