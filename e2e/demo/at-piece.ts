// Runs in the page. A fast GPU ends an answer before a test's click arrives from another process.

/**
 * Does something as soon as the last answer has so many pieces: clicks on a button or link, or loses the device.
 * @param act what the button or the link says; `destroy-device` for the loss, in a page with `?debug`
 */
export function atPiece({ count, act }: { readonly count: number; readonly act: string }): Promise<void> {
  const done = (): boolean => {
    const pieces = [...document.querySelectorAll('.chat-said')].at(-1)?.querySelectorAll(':scope > span:not(.chat-caret)');
    if (!pieces || pieces.length < count || !document.querySelector('.chat-caret')) return false;
    if (act === 'destroy-device') (globalThis as unknown as { antiquantDebug: { destroyDevice(): void } }).antiquantDebug.destroyDevice();
    else [...document.querySelectorAll<HTMLElement>('button, a')].find(({ textContent }) => textContent?.trim() === act)!.click();
    return true;
  };
  return new Promise((resolve) => {
    if (done()) return resolve();
    const observer = new MutationObserver(() => {
      if (!done()) return;
      observer.disconnect();
      resolve();
    });
    observer.observe(document.body, { subtree: true, childList: true, characterData: true });
  });
}
