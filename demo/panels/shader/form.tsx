// The controls: the product and the device.

import { CODE_WIDTHS } from '../../../src/problem/code-width.js';
import { device } from '../../app/worker.js';
import { NumberField, Segmented, SelectField, Toggle } from '../../ui/fields.js';
import { Folded } from '../../ui/folded.js';
import { DEVICES, type DeviceName } from './jobs/devices.js';
import { asDevice, changed, LIMITS, more, operatorQuery, otherDevice, product } from './state.js';

const same = <T extends string | number>(values: readonly T[]) => values.map((value) => ({ value, label: String(value) }));

export function Form() {
  const noGpu = device.value.state === 'none';
  const shared = { onChange: changed };
  const operator = operatorQuery();
  const imported = more.codes.value !== 'number' || more.permuted.value || more.inputScaled.value;
  return (
    <form class="card" onSubmit={(event) => event.preventDefault()}>
      <Folded summary={`Change the product: x (${product.m.value}, ${product.k.value}), weights (${product.n.value}, ${product.k.value})`}>
        <div class="shader-form">
          <div class="controls">
            <NumberField label="Rows of x (m)" value={product.m} min={1} max={LIMITS.m} {...shared} />
            <NumberField label="Inputs (k)" value={product.k} min={1} max={LIMITS.k} {...shared} />
            <NumberField label="Outputs (n)" value={product.n} min={1} max={LIMITS.n} {...shared} />
            <Segmented
              label="Weights"
              value={product.bits}
              options={CODE_WIDTHS.map(({ bits, name }) => ({ value: bits, label: name }))}
              {...shared}
            />
            <Segmented
              label="Scales"
              value={product.mode}
              options={[
                { value: 'tensor', label: 'one' },
                { value: 'channel', label: 'per channel' },
                { value: 'group', label: 'per group' },
              ]}
              {...shared}
            />
            {product.mode.value === 'group' && (
              <NumberField label="k in a group" value={product.group} min={32} max={LIMITS.k} step={32} {...shared} />
            )}
            <Segmented label="dtype of x and scales" value={product.dtype} options={same(['float16', 'bfloat16', 'float32'])} {...shared} />
            <SelectField
              label="A code is"
              value={more.codes}
              options={[
                { value: 'number', label: 'a number' },
                { value: 'minimum', label: 'a number above a minimum (GGUF)' },
                { value: 'codebook', label: 'an index of 16 values (NF4)' },
                { value: 'float', label: 'a float of 8 bits (FP8)' },
              ]}
              {...shared}
            />
            <SelectField
              label="innerPrecise"
              value={product.precise}
              options={[
                { value: 0, label: '0: x is not rounded' },
                { value: 1, label: '1: x may be rounded to int8' },
              ]}
              {...shared}
            />
            <SelectField
              label="Type of scales"
              value={product.scales}
              disabled={imported}
              options={[
                { value: 'x', label: 'that of x' },
                { value: 'int64', label: 'int64, packed' },
              ]}
              {...shared}
            />
            <SelectField
              label="Weights come as"
              value={product.format}
              disabled={imported}
              options={same(['ND', 'FRACTAL_NZ'])}
              {...shared}
            />
          </div>
          <div class="controls shader-toggles">
            <Toggle label="offset" value={product.offset} disabled={more.codes.value !== 'number'} {...shared} />
            <Toggle label="bias" value={product.bias} {...shared} />
            <Toggle label="int8 output" value={product.int8} {...shared} />
            {product.int8.value && <Toggle label="offset of the output" value={product.int8offset} {...shared} />}
            <Toggle label="x transposed" value={more.transposed} {...shared} />
            <Toggle label="inputs in another order (act-order)" value={more.permuted} {...shared} />
            <Toggle label="a scale for each input" value={more.inputScaled} {...shared} />
          </div>
          <div class="controls shader-device">
            <SelectField
              label="Device of the plan"
              value={asDevice}
              options={[
                { value: 'mine' as const, label: noGpu ? 'this device (it has no GPU)' : 'this device' },
                ...(Object.keys(DEVICES) as DeviceName[]).map((value) => ({ value, label: DEVICES[value].label })),
              ]}
              hint={
                noGpu && asDevice.value === 'mine'
                  ? `Without a GPU here, this is the plan for ${DEVICES[otherDevice.value!].label.toLowerCase()}.`
                  : otherDevice.value
                    ? 'Planning needs no GPU: this is what would run there.'
                    : undefined
              }
              {...shared}
            />
            {operator && (
              <p class="shader-link">
                <a href={operator}>Run this product in the panel “Operator”</a>
              </p>
            )}
          </div>
        </div>
      </Folded>
    </form>
  );
}
