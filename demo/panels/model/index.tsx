// The panel "Bring a model": opens a file of weights, lists its tensors, and shows, quantizes again and runs one of its layers.
import './model.css';
import { Button } from '../../ui/button.js';
import { FileDrop } from '../../ui/file-drop.js';
import { JobProblem, Progress } from '../../ui/progress.js';
import { Chosen } from './chosen.js';
import { ModelFacts } from './facts.js';
import { model, open, opening } from './state.js';
import { Tensors } from './tensors.js';

export default function Panel() {
  const file = model.value;
  return (
    <div class="stack model">
      <div class="model-open">
        <FileDrop label="Drop a model’s files here, or choose them" multiple onFiles={(files) => void open(files)}>
          safetensors (with shards: all of them and the <code>index.json</code>), GGUF, the files of MLC’s cache, or <code>.onnx</code> with
          its external data. A <code>config.json</code> beside them adds the quantization settings.{' '}
          <strong>Nothing leaves this machine: the files are read in this page, in parts.</strong>
        </FileDrop>
        <p class="model-sample">
          No file at hand?
          <Button onClick={() => void open([])}>Try it with a made-up file</Button>
        </p>
      </div>
      <div class="model-job">
        <Progress job={opening} label="Opening the files" />
        <JobProblem
          job={opening}
          what={file ? 'The files could not be opened; the one before stays open.' : 'The files could not be opened.'}
        />
      </div>
      {file && <ModelFacts file={file} />}
      {file && <Tensors key={file.id} file={file} />}
      {file && <Chosen file={file} />}
    </div>
  );
}
