// The panel "Your GPU, measured".
export default function Panel() {
  return <p>Here this library, onnxruntime-web, a dense product and the limits of your machine will be timed in turns.</p>;
}
