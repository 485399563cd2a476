// Colour maps for heatmaps, safe for the colour-blind: `diverging` (blue, neutral, orange around 0), `sequential` (dark blue, green,
// yellow) and `gray`. A map is 256 packed pixels. The neutral middle of `diverging` depends on the theme.

export type ColourMap = 'diverging' | 'sequential' | 'gray';

type Rgb = readonly [number, number, number];
const hex = (text: string): Rgb => [1, 3, 5].map((at) => Number.parseInt(text.slice(at, at + 2), 16)) as unknown as Rgb;

const STOPS: Readonly<Record<ColourMap, { readonly light: readonly string[]; readonly dark: readonly string[] }>> = {
  diverging: {
    light: ['#08306b', '#2171b5', '#7fb6dc', '#f7f7f4', '#f6ad5f', '#d35f0b', '#7a2d04'],
    dark: ['#b5dcff', '#5aa5e6', '#20588f', '#16191a', '#8f4a10', '#ee8f32', '#ffdcae'],
  },
  sequential: {
    light: ['#440154', '#472d7b', '#3b528b', '#2c728e', '#21918c', '#28ae80', '#5ec962', '#addc30', '#fde725'],
    dark: ['#440154', '#472d7b', '#3b528b', '#2c728e', '#21918c', '#28ae80', '#5ec962', '#addc30', '#fde725'],
  },
  gray: { light: ['#000000', '#ffffff'], dark: ['#000000', '#ffffff'] },
};

const cache = new Map<string, Uint32Array>();
/** 256 pixels in ImageData's form: red in the lowest byte. */
export function pixelsOf(map: ColourMap, dark: boolean): Uint32Array {
  const key = `${map} ${dark}`;
  let found = cache.get(key);
  if (!found) {
    const stops = STOPS[map][dark ? 'dark' : 'light'].map(hex);
    found = Uint32Array.from({ length: 256 }, (_, i) => {
      const at = (i / 255) * (stops.length - 1);
      const low = Math.min(Math.floor(at), stops.length - 2);
      const [r, g, b] = [0, 1, 2].map((c) => Math.round(stops[low]![c]! + (at - low) * (stops[low + 1]![c]! - stops[low]![c]!)));
      return (255 << 24) | (b! << 16) | (g! << 8) | r!;
    });
    cache.set(key, found);
  }
  return found;
}

/** The map as a CSS gradient, for a legend. */
export const gradientOf = (map: ColourMap, dark: boolean): string =>
  `linear-gradient(to right, ${STOPS[map][dark ? 'dark' : 'light'].join(', ')})`;
