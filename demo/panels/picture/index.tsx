// The panel "See quantization".
export default function Panel() {
  return (
    <p>Here a picture will be quantized with every bit width and granularity, multiplied on the GPU, and shown beside the original.</p>
  );
}
