// What the numbers of the panel are.
import { Facts } from '../../ui/facts.js';
import { BLUR, SPOT } from '../../worker/picture-data.js';

export const Reading = () => (
  <details>
    <summary>How to read this</summary>
    <Facts
      items={[
        [
          'The weights',
          'A pixel of 0 (black) to 1 (white), less ½, is a weight: row n of the picture has the weights of output n, column k those for input k. quantize() makes codes, scales and zero points of them, with scales in float16; a layer takes them by loadMatrix().',
        ],
        [
          'The product',
          `y = x · Wᵀ, in float32, on your GPU. With x the identity, y is the weights as the layer has them. The blur is a Gaussian of ${BLUR} pixels along the rows. The DCT has the cosines of all frequencies in its rows; its pictures show |y| from −80 dB (dark) to 20 dB.`,
        ],
        [
          'PSNR',
          'Ten times the logarithm of 1 over the mean squared difference between what the GPU returned and the same product of weights that are not quantized, summed in float64. The 1 is black to white. Every 6 dB halve the difference.',
        ],
        [
          'Bytes',
          'Codes, scales and zero points as the layer holds them, by quantize()’s report. A matrix that has one scale is counted with one scale.',
        ],
        [
          'The bright spot',
          `A few pixels up to ${SPOT.brightness} times as bright as white, as a few weights of language models are many times larger than the rest.`,
        ],
      ]}
    />
  </details>
);
