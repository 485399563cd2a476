// The service worker of the built site: what was loaded once works without a network. demo/site.ts puts VERSION and FILES before this text.
//
// By hand rather than by a generator: the whole of it is three rules, and every file but the page has its hash in its name.
//   install   keeps every file of the build in a cache of this version (FILES leaves out what is large)
//   page      from the network; from the cache if the network does not answer
//   others    from the cache; else from the network, and kept, so that large files work offline once they were used
/* global VERSION, FILES */
const PREFIX = 'antiquant-';
const NAME = PREFIX + VERSION;

self.addEventListener('install', (event) => {
  self.skipWaiting();
  event.waitUntil(caches.open(NAME).then((cache) => cache.addAll(FILES)));
});

self.addEventListener('activate', (event) => {
  // The version before stays: a page of it may still be open and load a panel.
  const tidy = async () => {
    const old = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== NAME);
    await Promise.all(old.slice(0, -1).map((name) => caches.delete(name)));
    await self.clients.claim();
  };
  event.waitUntil(tidy());
});

async function page(request) {
  try {
    const response = await fetch(request);
    if (response.ok) return response;
  } catch {
    // No network: see below.
  }
  const kept = await caches.match('./', { ignoreSearch: true });
  return kept ?? Response.error();
}

async function file(request) {
  const kept = await caches.match(request);
  if (kept) return kept;
  const response = await fetch(request);
  if (response.status === 200) {
    const copy = response.clone();
    caches.open(NAME).then((cache) => cache.put(request, copy));
  }
  return response;
}

self.addEventListener('fetch', (event) => {
  const { request } = event;
  if (request.method !== 'GET' || !request.url.startsWith(self.registration.scope)) return;
  if (request.mode !== 'navigate') event.respondWith(file(request));
  else if (new URL(request.url).pathname === new URL(self.registration.scope).pathname) event.respondWith(page(request));
});
