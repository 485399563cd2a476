// A line with the GPU of the page, or the reason why there is none. Opened, it shows all that the browser tells about the GPU.
import { useEffect, useRef } from 'preact/hooks';
import { Button } from '../ui/button.js';
import { CopyButton } from '../ui/copy-button.js';
import { type Fact, Facts } from '../ui/facts.js';
import { bytes, milliseconds, whole } from '../ui/numbers.js';
import type { DeviceFacts } from '../worker/rpc.js';
import { sentence } from './sentence.js';
import { device, openDevice } from './worker.js';

export const deviceName = ({ vendor, architecture, device: name, description }: DeviceFacts): string =>
  description || [vendor, architecture, name].filter(Boolean).join(' ') || 'an adapter without a name';

export function DeviceLine() {
  const now = device.value;
  const box = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    const close = (event: Event): void => {
      const open = box.current;
      if (!open?.open) return;
      if (event instanceof KeyboardEvent ? event.key === 'Escape' : !open.contains(event.target as Node)) {
        if (event instanceof KeyboardEvent) open.querySelector('summary')!.focus();
        open.open = false;
      }
    };
    addEventListener('keydown', close);
    addEventListener('pointerdown', close);
    return () => {
      removeEventListener('keydown', close);
      removeEventListener('pointerdown', close);
    };
  }, []);

  if (now.state === 'none') return <NoDevice reason={now.reason} webgpu={now.webgpu} />;
  if (now.state !== 'ready') {
    return (
      <p class="device" data-state={now.state}>
        <span class="dot" aria-hidden="true" />
        {now.state === 'opening' ? 'Asking the browser for a GPU.' : 'The GPU device was lost.'}
      </p>
    );
  }
  const { facts } = now;
  return (
    <details class="device" data-state={facts.caps.software ? 'software' : 'ready'} ref={box}>
      <summary>
        <span class="dot" aria-hidden="true" />
        <strong>{deviceName(facts)}</strong>
        <span class="device-more">
          {[
            facts.caps.software ? 'software: the CPU runs the shaders' : '',
            facts.caps.f16 ? 'shader-f16' : 'no shader-f16',
            facts.caps.subgroups ? 'subgroups' : 'no subgroups',
          ]
            .filter(Boolean)
            .join(' · ')}
        </span>
        <span class="device-open">Details</span>
      </summary>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keys */}
      <section class="device-facts" tabIndex={0} aria-label="Facts about the GPU">
        {facts.caps.software && (
          <p>This is a software adapter: the CPU runs the shaders. Results are checked, but times say nothing about GPUs.</p>
        )}
        <p class="device-report">
          <CopyButton text={facts.report} label="Copy a report" />
          <span>
            All of this, the limits, self-tests and measured choices as text, to paste into an{' '}
            {import.meta.env.BUGS ? <a href={import.meta.env.BUGS}>issue</a> : 'issue'}.
          </span>
        </p>
        <Facts items={factList(facts)} />
      </section>
    </details>
  );
}

function factList(facts: DeviceFacts): Fact[] {
  const { caps, limits } = facts;
  const given = (text: string): string => text || 'not disclosed';
  const list = (names: readonly string[]) => (names.length > 0 ? names.join(', ') : 'none');
  return [
    ['Vendor', given(facts.vendor)],
    ['Architecture', given(facts.architecture)],
    ['Description', given(facts.description)],
    ['Kind', caps.software ? 'software adapter, runs on the CPU' : 'GPU'],
    ['shader-f16', caps.f16 ? 'yes' : 'no: float16 is read and written as bits'],
    ['subgroups', caps.subgroups ? `yes, of ${[...new Set([caps.minSubgroupSize, caps.maxSubgroupSize])].join(' to ')}` : 'no'],
    ['Largest buffer', bytes(caps.maxBufferSize)],
    ['Largest binding', bytes(caps.maxStorageBufferBindingSize)],
    ['Workgroup', `${whole(caps.maxComputeInvocationsPerWorkgroup)} invocations, ${bytes(caps.maxComputeWorkgroupStorageSize)} shared`],
    ['Round trip of an empty submission', milliseconds(facts.roundTrip)],
    ['Features', list(facts.features)],
    ['WGSL', list(facts.language)],
    ['Limits', `${whole(Object.keys(limits).length)}; the panel “What runs” lists them`],
  ];
}

function NoDevice({ reason, webgpu }: { readonly reason: string; readonly webgpu: boolean }) {
  return (
    <div class="device" data-state="none" role="alert">
      <p>
        <span class="dot" aria-hidden="true" />
        <strong>No GPU is available.</strong> {sentence(reason)} The CPU reference runs without one.
      </p>
      <p>
        {webgpu
          ? "Switch on hardware acceleration in the browser's settings, or update the browser and the graphics driver, then try again."
          : 'Open this page over https or on localhost in a browser with WebGPU: a current Chrome, Edge, Firefox or Safari. On some systems WebGPU is behind a flag of the browser’s.'}
      </p>
      <Button onClick={openDevice}>Try again</Button>
    </div>
  );
}
