// Commands, suites, files and links that documents and workflows name exist.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';

const root = join(import.meta.dirname, '../..');
const read = (file: string): string => readFileSync(join(root, file), 'utf8');
const list = (folder: string, ending: string): string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .map((file) => `${folder}/${file.replaceAll('\\', '/')}`)
    .filter((file) => file.endsWith(ending) && !file.includes('node_modules/'));

const forms = list('.github/ISSUE_TEMPLATE', '.yml').filter((file) => !file.endsWith('/config.yml'));
const workflows = list('.github/workflows', '.yml');
const folders = ['docs', 'examples', 'demo', 'models', 'shaders', 'bench-results'];
const pages = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGELOG.md', ...folders.flatMap((folder) => list(folder, '.md'))];
const scripts = JSON.parse(read('package.json')).scripts as Readonly<Record<string, string>>;
const { suites } = (await import(join(root, 'scripts/test/suites.mjs'))) as { readonly suites: object };

const matches = (text: string, pattern: RegExp): string[] => [...text.matchAll(pattern)].map(([, found]) => found!);

describe.each([...pages, ...forms, ...workflows])('%s', (file) => {
  const text = read(file);
  test('names scripts, suites and files that there are', () => {
    expect(matches(text, /\bnpm run ([a-z][\w:-]*)/g).filter((name) => !Object.hasOwn(scripts, name))).toEqual([]);
    const asked = matches(text, /node scripts\/test\.mjs((?: [a-z][\w-]*)+)/g).flatMap((words) => words.trim().split(' '));
    expect(asked.filter((name) => !Object.hasOwn(suites, name))).toEqual([]);
    const files = matches(
      text,
      /\b(?:node|vitest run(?: --project \w+)?|playwright test) ((?:scripts|test|e2e|examples)\/[\w./-]+\.(?:m?js|ts))/g,
    );
    expect(files.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });
  test('links to files that there are', () => {
    const links = matches(text.replace(/```[\s\S]*?```/g, ''), /\]\((?!\w+:|#)([^)#\s]+)[^)]*\)/g);
    expect(links.filter((link) => !existsSync(join(root, dirname(file), link)))).toEqual([]);
  });
});

test('README links only to what the package ships', () => {
  const { files } = JSON.parse(read('package.json')) as { readonly files: readonly string[] };
  const ships = (path: string): boolean =>
    files.some((entry) =>
      entry.endsWith('/*.md') ? dirname(path) === dirname(entry) && path.endsWith('.md') : path === entry || path.startsWith(`${entry}/`),
    );
  const links = matches(read('README.md').replace(/```[\s\S]*?```/g, ''), /\]\((?!\w+:|#)([^)#\s]+)[^)]*\)/g);
  expect(links.length).toBeGreaterThan(5);
  expect(links.filter((link) => !ships(link))).toEqual([]);
});

test.each(forms)('%s is an issue form: a name, a description, and fields with unique ids', (file) => {
  const form = parse(read(file)) as {
    readonly name: string;
    readonly description: string;
    readonly body: readonly { readonly type: string; readonly id?: string; readonly attributes: Readonly<Record<string, unknown>> }[];
  };
  expect(form.name && form.description).toBeTruthy();
  const fields = form.body.filter(({ type }) => type !== 'markdown');
  expect(new Set(fields.map(({ id }) => id)).size).toBe(fields.length);
  for (const { id, type, attributes } of fields) {
    expect(['input', 'textarea', 'dropdown'], id).toContain(type);
    expect(id).toMatch(/^[a-z]+$/);
    expect(attributes.label, id).toBeTruthy();
  }
  expect(JSON.stringify(form)).toContain('formatReport(device)');
});

test.each(workflows)('%s is a workflow: each job has a runner, a limit of time and steps', (file) => {
  const { jobs, permissions } = parse(read(file)) as {
    readonly permissions: object;
    readonly jobs: Readonly<
      Record<string, { readonly 'runs-on': string; readonly 'timeout-minutes': number; readonly steps: readonly object[] }>
    >;
  };
  expect(permissions).toEqual({ contents: 'read' });
  for (const [name, job] of Object.entries(jobs)) {
    expect(job['runs-on'], name).toMatch(/^(ubuntu|macos|windows)-latest$/);
    expect(job['timeout-minutes'], name).toBeGreaterThan(0);
    expect(
      job.steps.filter((step) => !('run' in step || 'uses' in step)),
      name,
    ).toEqual([]);
  }
});
