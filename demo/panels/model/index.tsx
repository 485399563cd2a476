// The panel "Bring a model": opens a file of weights, lists its tensors, and shows, quantizes again and runs one of its layers.
import { useEffect } from 'preact/hooks';
import './model.css';
import { Button } from '../../ui/button.js';
import { FileDrop } from '../../ui/file-drop.js';
import { JobProblem, Progress } from '../../ui/progress.js';
import { Chosen } from './chosen.js';
import { ModelFacts } from './facts.js';
import { Speaks } from './speaks.js';
import { arrive, given, model, open, opening } from './state.js';
import { Tensors } from './tensors.js';

export default function Panel() {
  useEffect(arrive, []);
  const file = model.value;
  const from = given.value;
  return (
    <div class="stack model">
      <div class="model-open">
        <FileDrop
          label="Drop a model’s files or its folder here, or choose them"
          multiple
          folders
          onFiles={(files) => void open({ files })}
        >
          <strong>Nothing leaves this machine: the files are read in this page, in parts.</strong>
          <span class="model-kinds">
            {' '}
            GGUF; safetensors with all of their shards, the <code>index.json</code>, <code>config.json</code> and{' '}
            <code>tokenizer.json</code>; the files of MLC’s cache; <code>.onnx</code> with its external data.
          </span>
        </FileDrop>
        <p class="model-sample">
          {!file || !from ? 'No file at hand?' : 'own' in from ? 'Below is the language model of this page.' : ''}
          {!(from && 'sample' in from) && <Button onClick={() => void open({ sample: true })}>Try it with a made-up file</Button>}
          {from && !('own' in from) && <Button onClick={() => void open({ own: true })}>Back to the model of this page</Button>}
        </p>
      </div>
      <div class="job">
        <Progress job={opening} label="Opening the files" />
        <JobProblem
          job={opening}
          what={file ? 'The files could not be opened; the one before stays open.' : 'The files could not be opened.'}
        />
      </div>
      {file && <Speaks file={file} />}
      {file && <ModelFacts file={file} />}
      {file && <Tensors key={file.id} file={file} />}
      {file && <Chosen file={file} />}
    </div>
  );
}
