// A drop area for files, which is also a button to choose them. The files stay on this machine.
import type { ComponentChildren } from 'preact';
import { useId, useState } from 'preact/hooks';

export interface FileDropProps {
  readonly label: string;
  /** The attribute accept of <input>. */
  readonly accept?: string;
  readonly multiple?: boolean;
  readonly onFiles: (files: readonly File[]) => void;
  readonly children?: ComponentChildren;
}

export function FileDrop({ label, accept, multiple, onFiles, children }: FileDropProps) {
  const id = useId();
  const [over, setOver] = useState(false);
  const give = (list: FileList | null | undefined): void => {
    const files = [...(list ?? [])];
    if (files.length > 0) onFiles(multiple ? files : files.slice(0, 1));
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
        give(event.dataTransfer?.files);
      }}
    >
      <label for={id}>{label}</label>
      <input
        id={id}
        type="file"
        accept={accept}
        multiple={multiple}
        onChange={({ currentTarget }) => {
          give(currentTarget.files);
          currentTarget.value = ''; // the same file may be chosen again
        }}
      />
      {children && <small>{children}</small>}
    </div>
  );
}
