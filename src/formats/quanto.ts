// Quanto's weights of 8 bits, int8 and float8: one scale for each output, or for all. Those of 2 and 4 bits are packed with groups and shifts
// whose meaning differs by version, and are not read.
// Rule: github.com/huggingface/optimum-quanto, tensor/weights/qbytes.py (WeightQBytesTensor), library/qbytes_mm.py: W = _data · _scale.
import { fp8Layer } from './fp8.js';
import type { Found, LayerContext, LayerFormat, WeightFormat } from './layer-format.js';
import type { LayerSource } from './layer-source.js';
import { torchaoInt8Layer } from './torchao-int8.js';

const DATA = 'weight._data';
const SCALE = 'weight._scale';

const entry = (
  name: string,
  { importer, dtype, make }: Pick<LayerFormat, 'importer'> & { dtype: string; make(found: Found, context: LayerContext): LayerSource },
): LayerFormat => ({
  ...{ name, importer, methods: ['quanto'], required: [DATA, SCALE], optional: [] },
  ignored: ['input_scale', 'output_scale'], // of x and y
  recognise: ({ [DATA]: data }) => data!.dtype === dtype && data!.shape.length === 2,
  make: (found, context) => ({ ...make(found, context), name: context.name, format: name }),
});

export const quantoFormat: WeightFormat = {
  rows: [
    {
      format: 'Quanto int8, float8',
      tensors: '`weight._data`, `weight._scale`',
      read: 'int8 and E4M3; scales of x and y are not used',
      exact: '=',
    },
  ],
  layers: [
    entry('Quanto int8', {
      importer: 'importTorchaoInt8',
      dtype: 'I8',
      make: ({ [DATA]: qdata, [SCALE]: scale }, { name, bias }) => torchaoInt8Layer({ qdata: qdata!, scale: scale! }, { name, bias }),
    }),
    entry('Quanto float8', {
      importer: 'importFp8',
      dtype: 'F8_E4M3',
      make: ({ [DATA]: weight, [SCALE]: weight_scale }, { name, bias }) => fp8Layer({ weight: weight!, weight_scale }, { name, bias }),
    }),
  ],
};
