// A drop area for files, which is also a button to choose them. The files stay on this machine.
import type { ComponentChildren } from 'preact';
import { useId, useState } from 'preact/hooks';
import { sentence } from '../app/sentence.js';
import { Button } from './button.js';
import { chosenFiles, droppedFiles } from './dropped.js';

export interface FileDropProps {
  readonly label: string;
  /** The attribute accept of <input>. */
  readonly accept?: string;
  readonly multiple?: boolean;
  /** With a button that chooses a folder. Dropping one works with `multiple`. */
  readonly folders?: boolean;
  readonly onFiles: (files: readonly File[]) => void;
  readonly children?: ComponentChildren;
}

export function FileDrop({ label, accept, multiple, folders, onFiles, children }: FileDropProps) {
  const id = useId();
  const [over, setOver] = useState(false);
  const [problem, setProblem] = useState('');
  const give = (files: readonly File[], where: string): void => {
    setProblem(files.length > 0 || where === '' ? '' : `There are no files in ${where}.`);
    if (files.length > 0) onFiles(multiple ? files : files.slice(0, 1));
  };
  const drop = (data: DataTransfer | null): void => {
    droppedFiles(data).then(
      (files) => give(files, 'what was dropped; files of folders in a folder are left out'),
      (error: unknown) => setProblem(`The folder cannot be read. ${sentence(error)}`),
    );
  };
  const chooseFolder = (): void => {
    const input = document.createElement('input');
    input.type = 'file';
    input.webkitdirectory = true;
    input.onchange = () => give(chosenFiles(input.files), 'this folder; files of folders in it are left out');
    input.click();
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: dropping is the mouse's way to what the input does
    <div
      class="drop"
      data-over={over ? '' : undefined}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        drop(event.dataTransfer);
      }}
    >
      <label for={id}>{label}</label>
      <div class="drop-ways">
        <input
          id={id}
          type="file"
          accept={accept}
          multiple={multiple}
          onChange={({ currentTarget }) => {
            give([...(currentTarget.files ?? [])], '');
            currentTarget.value = ''; // the same file may be chosen again
          }}
        />
        {folders && 'webkitdirectory' in HTMLInputElement.prototype && <Button onClick={chooseFolder}>Choose a folder</Button>}
      </div>
      <span class="drop-problem" role="alert">
        {problem}
      </span>
      {children && <small>{children}</small>}
    </div>
  );
}
