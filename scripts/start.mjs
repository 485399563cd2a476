// `npm start`: installs missing packages, builds the page and starts a server for it. PORT sets the port.
import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { ensureModules, root } from './setup.mjs';

ensureModules();
const vite = join(root, 'node_modules', 'vite', 'bin', 'vite.js');
const built = spawnSync(process.execPath, [vite, 'build', '--mode', 'demo', '--logLevel', 'warn'], { cwd: root, stdio: 'inherit' });
if (built.status !== 0) process.exit(built.status ?? 1);
const server = spawn(process.execPath, [vite, 'preview', '--mode', 'demo', '--port', process.env.PORT ?? '4180'], {
  cwd: root,
  stdio: 'inherit',
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => server.kill(signal));
server.on('exit', (code) => process.exit(code ?? 0));
