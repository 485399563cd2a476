// The panel "Bring a model".
export default function Panel() {
  return <p>Here a GGUF, safetensors or ONNX file will be opened, its tensors listed, and one layer run from it.</p>;
}
