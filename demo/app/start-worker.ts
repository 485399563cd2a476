// Starts Workers under the page's Content-Security-Policy. A Worker whose script comes from the network has no policy but the server's, and this
// site has no server of its own; a Worker of a blob has the policy of the document that makes it. So the blob is one import of the script.
//
// onnxruntime-web and wllama compile WebAssembly, which the page's policy does not allow. They run in a Worker of a frame, whose document allows this and is
// else as strict (demo/security.ts).
import script from '../worker/worker.ts?worker&url';

/** Names of documents and scripts of this site that may be run: the only ones. */
const OWN = { serviceWorker: './sw.js', frame: './wasm.html' } as const;

type Realm = Pick<typeof globalThis, 'Worker' | 'Blob' | 'URL'> & {
  readonly trustedTypes?: { createPolicy(name: string, rules: object): { createScriptURL(url: string): unknown } };
};

/** Where Trusted Types are enforced, the addresses of scripts are objects that this policy alone makes. */
function trusted(realm: Realm): (url: string) => string {
  const allowed = (url: string): string => {
    if (url === OWN.serviceWorker || url.startsWith(`blob:${location.origin}/`)) return url;
    throw new TypeError(`expected a script of this site, got ${url}`);
  };
  const policy = realm.trustedTypes?.createPolicy('antiquant', { createScriptURL: allowed });
  return (url) => (policy ? (policy.createScriptURL(url) as string) : allowed(url));
}

function start(realm: Realm, trust: (url: string) => string): Worker {
  const text = `import ${JSON.stringify(new URL(script, import.meta.url).href)};`;
  const url = realm.URL.createObjectURL(new realm.Blob([text], { type: 'text/javascript' }));
  return new realm.Worker(trust(url), { type: 'module', name: 'antiquant' });
}

const own = trusted(globalThis as unknown as Realm);

export const startWorker = (): Worker => start(globalThis as unknown as Realm, own);

export const registerServiceWorker = (): Promise<unknown> => navigator.serviceWorker.register(own(OWN.serviceWorker));

/** A Worker that may compile WebAssembly, in a frame of its own. @throws Error if the frame does not load */
export async function startWasmWorker(): Promise<Worker> {
  const frame = document.createElement('iframe');
  frame.hidden = true;
  frame.title = 'onnxruntime-web';
  frame.src = OWN.frame;
  await new Promise<void>((resolve, reject) => {
    frame.onload = () => resolve();
    frame.onerror = () => reject(new Error('The frame of onnxruntime-web could not be loaded'));
    document.body.append(frame);
  });
  const realm = frame.contentWindow as unknown as Realm & { readonly document: Document };
  if (!realm.document.querySelector('meta[name="frame-of"][content="onnxruntime-web"]')) {
    frame.remove();
    throw new Error('The frame of onnxruntime-web could not be loaded');
  }
  return start(realm, trusted(realm));
}
