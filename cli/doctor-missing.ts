// What a machine lacks for the library, and how to get it. Pure.
import type { DoctorDocument } from './documents.js';

type Missing = DoctorDocument['missing'][number];

export const INSTALL_DAWN = 'npm i webgpu';

/** How to get a GPU driver that Dawn takes, by Node's names of platforms. */
const DRIVERS: Readonly<Record<string, string>> = {
  linux:
    'install a Vulkan driver: the one of the GPU’s vendor, or Mesa’s (Debian and Ubuntu: apt install mesa-vulkan-drivers, which has one for the CPU too); in a container, give it /dev/dri or the vendor’s runtime',
  darwin: 'Metal is part of macOS: update it',
  win32: 'install the driver of the GPU’s vendor, which has Direct3D 12',
};
const driver = (platform: string): string => DRIVERS[platform] ?? 'install a driver for Vulkan, Metal or Direct3D 12';

/** Features of an adapter, what lacks without them, and how to get them. */
const FEATURES: readonly (readonly [feature: string, lack: string, how: string])[] = [
  [
    'shader-f16',
    'float16 x and y are converted with integer instructions, and products are summed in float32',
    'a newer driver may have it',
  ],
  ['subgroups', 'kernels that share values between lanes do not run', 'a newer driver or browser may have it'],
];

const PACKAGE_FOR: Readonly<Record<string, string>> = {
  webgpu: 'no GPU in Node',
  '@huggingface/tokenizers': '`antiquant run` cannot read a tokenizer',
  '@huggingface/jinja': '`antiquant run` goes on with a prompt instead of answering in a chat',
};

export function missingOf({
  packages,
  gpu,
  platform,
}: Pick<DoctorDocument, 'packages' | 'gpu'> & { readonly platform: string }): Missing[] {
  const absent = packages.filter(({ version }) => version === null).map(({ name }) => name);
  const missing: Missing[] = absent.map((name) => ({
    what: `the package ${name}: ${PACKAGE_FOR[name] ?? 'optional'}`,
    how: `npm i ${name}`,
  }));
  if (gpu === null) {
    if (!absent.includes('webgpu')) missing.push({ what: 'a GPU that Dawn finds', how: driver(platform) });
    return missing;
  }
  if (gpu.software) missing.push({ what: 'a GPU: the adapter runs on the CPU', how: driver(platform) });
  for (const [feature, lack, how] of FEATURES) if (!gpu.features.includes(feature)) missing.push({ what: `${feature}: ${lack}`, how });
  return missing;
}
