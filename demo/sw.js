// The service worker of the built site, which makes it work offline. demo/site.ts puts VERSION and FILES before this text.
//
// It is written by hand: it has three rules, and every file but the page has a hash in its name.
//   install   caches every file of the build for this version (FILES leaves out large files)
//   page      from the network; from the cache if the network does not answer
//   others    from the cache; else from the network, then cached, so that large files work offline after their first use
/* global VERSION, FILES */
const PREFIX = 'antiquant-';
const NAME = PREFIX + VERSION;

self.addEventListener('install', (event) => {
  self.skipWaiting();
  event.waitUntil(caches.open(NAME).then((cache) => cache.addAll(FILES)));
});

self.addEventListener('activate', (event) => {
  // Keeps the previous version: a page of it may still be open and load a panel.
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
  if (request.mode !== 'navigate' || request.url.endsWith('/wasm.html')) event.respondWith(file(request));
  else if (new URL(request.url).pathname === new URL(self.registration.scope).pathname) event.respondWith(page(request));
});
