// Loads and shows a panel. Until then it shows the title and a placeholder; if loading or the panel fails, a sentence.
import type { ComponentType } from 'preact';
import { useEffect, useErrorBoundary, useState } from 'preact/hooks';
import { Button } from '../ui/button.js';
import { Notice } from '../ui/notice.js';
import type { PanelEntry } from './panels.js';
import { sentence } from './sentence.js';

export function Outlet({ entry }: { readonly entry: PanelEntry }) {
  const [Panel, setPanel] = useState<ComponentType | undefined>();
  const [problem, setProblem] = useState<unknown>();
  const [broken, repair] = useErrorBoundary();
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    let gone = false;
    document.title = `${entry.title} · antiquant`;
    setProblem(undefined);
    entry.load().then(
      (module) => gone || setPanel(() => module.default),
      (error) => gone || setProblem(error),
    );
    return () => {
      gone = true;
    };
  }, [entry, attempt]);

  const failure = broken ?? problem;
  return (
    <section aria-labelledby="panel-title" class="panel" data-ready={Panel && !failure ? '' : undefined} aria-busy={!Panel && !failure}>
      <div class="panel-head">
        <h2 id="panel-title">{entry.title}</h2>
        <p>{entry.lead}</p>
      </div>
      {failure ? (
        <Notice kind="bad">
          {`This panel ${broken ? 'broke' : 'could not be loaded'}. ${sentence(failure)}`}
          <Button
            onClick={() => {
              repair();
              setAttempt(attempt + 1);
            }}
          >
            Try again
          </Button>
        </Notice>
      ) : Panel ? (
        <Panel />
      ) : (
        <div class="skeleton" aria-hidden="true">
          <span />
          <span />
          <span />
        </div>
      )}
    </section>
  );
}
