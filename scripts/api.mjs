// `npm run api`: writes docs/api-reference.md and test/package-names.json from the package's declarations: every export of every entry with
// its docstring. `readApi` also finds exports without a docstring, and types of public signatures that no entry exports;
// test/unit/api.test.ts fails on both. The parser is Vite's.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseSync } from 'vite';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const json = (path) => JSON.parse(readFileSync(path, 'utf8'));

/** Names of entries → the paths of their declarations, from package.json. */
function entriesOf({ name, exports }) {
  const typed = Object.entries(exports).filter(([, to]) => to.types?.startsWith('./dist/')); // those of shaders stand beside them
  return typed.map(([path, { types }]) => [posix.join(name, path), types.replace('./dist/', '')]);
}

/** Declarations, imports and exports of one file. */
function parse(folder, file) {
  const text = readFileSync(join(folder, file), 'utf8');
  const { program, comments } = parseSync(file, text);
  const target = (source) => posix.join(posix.dirname(file), source.value).replace(/\.js$/, '.d.ts');
  const [declared, imported, exported] = [new Map(), new Map(), new Map()];
  const docOf = (start) => {
    const found = comments.find(({ value, end }) => value.startsWith('*') && end <= start && text.slice(end, start).trim() === '');
    return found?.value.replace(/^\*|^[ \t]*\* ?/gm, '').trim();
  };
  for (const node of program.body) {
    if (node.type === 'ImportDeclaration')
      for (const { local, imported: name } of node.specifiers) imported.set(local.name, { file: target(node.source), name: name.name });
    for (const { local, exported: name, exportKind } of node.specifiers ?? [])
      if (name) {
        const typed = node.exportKind === 'type' || exportKind === 'type';
        exported.set(name.name, { file: node.source ? target(node.source) : file, name: local.name, typed });
      }
    const declaration = node.type.startsWith('TS') ? node : node.declaration;
    if (!declaration) continue;
    for (const { id } of declaration.declarations ?? [declaration]) {
      const code = text
        .slice(node.start, node.end)
        .replace(/^export (declare )?/, '')
        .replace(/^ +#private;\n/m, '')
        .replace(/^ +/gm, (indent) => indent.slice(indent.length / 2));
      const parts = [...(declared.get(id.name)?.parts ?? []), { code, node: declaration, doc: docOf(node.start) }];
      declared.set(id.name, { parts, doc: parts.find(({ doc }) => doc)?.doc, file });
      if (node.type === 'ExportNamedDeclaration') exported.set(id.name, { file, name: id.name });
    }
  }
  return { declared, imported, exported };
}

/** Names that a declaration refers to, without its type parameters. */
function references(node, own = new Set()) {
  if (Array.isArray(node)) return node.flatMap((one) => references(one, own));
  if (typeof node !== 'object' || node === null) return [];
  const names = new Set([...own, ...(node.typeParameters?.params ?? []).map(({ name }) => name.name)]);
  if (node.type === 'TSMappedType') names.add(node.key.name);
  if (node.type === 'TSInferType') return [];
  const leftmost = (name) => (name?.type === 'TSQualifiedName' ? leftmost(name.left) : name);
  const direct = [node.typeName, node.exprName, node.superClass, node.expression].map(leftmost).find((one) => one?.type === 'Identifier');
  const inside = Object.values(node).flatMap((child) => references(child, names));
  const path = node.type === 'TSImportType' ? [{ file: node.source.value, name: leftmost(node.qualifier).name }] : [];
  return [...path, ...inside, ...(direct && !names.has(direct.name) ? [direct.name] : [])];
}

/** All exports of a folder of declarations, by entry: [{ entry, items: [{ name, kind, doc, parts }] }], and the missing ones. */
export function readApi(folder, manifest = json(join(root, 'package.json'))) {
  const files = new Map();
  const fileOf = (file) => files.get(file) ?? files.set(file, parse(folder, file)).get(file);
  const find = ({ file, name }) => {
    const { declared, imported, exported } = fileOf(file);
    const next = declared.has(name) ? undefined : (exported.get(name) ?? imported.get(name));
    return next ? find(next) : { file, name, ...declared.get(name) };
  };
  const kindOf = ({ type, declarations }) => {
    if (declarations?.[0].id.typeAnnotation?.typeAnnotation.type === 'TSFunctionType') return 'function';
    return { TSDeclareFunction: 'function', ClassDeclaration: 'class', VariableDeclaration: 'constant' }[type] ?? 'type';
  };
  const entries = entriesOf(manifest).map(([entry, file]) => {
    const items = [...fileOf(file).exported].map(([name, from]) => ({ ...find(from), name, original: find(from).name, typed: from.typed }));
    return { entry, items: items.map((one) => ({ ...one, kind: one.typed ? 'type' : kindOf(one.parts[0].node) })).sort(byName) };
  });
  const all = entries.flatMap(({ entry, items }) => items.map((item) => ({ entry, ...item })));
  const known = new Set(all.map(({ file, original }) => `${file} ${original}`));
  const missing = all.flatMap(({ entry, name, file, parts }) =>
    parts.flatMap(({ node }) =>
      references(node).flatMap((to) => {
        const at =
          typeof to === 'string'
            ? { file, name: to }
            : { file: posix.join(posix.dirname(file), to.file).replace(/\.js$/, '.d.ts'), name: to.name };
        const { declared, imported } = fileOf(at.file);
        if (!declared.has(at.name) && !imported.has(at.name)) return []; // the platform's
        const found = find(at);
        return known.has(`${found.file} ${found.name}`) ? [] : [`${entry}: ${name} names ${found.name} of ${found.file}`];
      }),
    ),
  );
  const bare = all.filter(({ doc }) => !doc).map(({ entry, name, file }) => `${entry}: ${name} of ${file}`);
  return { entries, unexported: [...new Set(missing)], undocumented: bare };
}
const byName = (a, b) => (a.name.toLowerCase() < b.name.toLowerCase() ? -1 : 1);

/** The public names for test/package-names.json; types are marked. */
export const namesOf = ({ entries }) =>
  Object.fromEntries(entries.map(({ entry, items }) => [entry, items.map(({ name, kind }) => (kind === 'type' ? `type ${name}` : name))]));

const fence = (code) => `\`\`\`ts\n${code}\n\`\`\``;

/** A docstring as Markdown: its sentences, then its tags. */
function docText(doc) {
  const [text, ...tags] = doc.split(/^@(?=\w)/m);
  const shown = tags.map((tag) => {
    const [, name, body] = /^(\w+)\s*([\s\S]*)$/.exec(tag.trim());
    if (name === 'example') return fence(body);
    return name === 'param' ? body.replace(/^(\S+)/, '- `$1`:') : `${{ throws: 'Throws', returns: 'Returns' }[name] ?? name} ${body}`;
  });
  return [text.trim(), ...shown].filter(Boolean).join('\n\n');
}

const TITLES = { class: 'Classes', function: 'Functions', constant: 'Constants', type: 'Types' };
export function markdown({ entries }) {
  const out = ['# API reference', 'Written by `npm run api` from the declarations in the package. [api.md](api.md) is the guide.'];
  // The anchors that GitHub gives to headings: names in lower case, numbered from the second on.
  const taken = new Map();
  const anchorOf = (heading) => {
    const word = heading.toLowerCase().replaceAll('/', '');
    const times = taken.get(word) ?? 0;
    taken.set(word, times + 1);
    return times === 0 ? word : `${word}-${times}`;
  };
  const told = new Map(); // declaration → the entry and anchor of its text
  anchorOf('API reference');
  for (const { entry, items } of entries) {
    anchorOf(entry);
    const anchored = items.map((item) => ({ ...item, anchor: anchorOf(item.name) }));
    out.push(`## ${entry}`);
    for (const [kind, title] of Object.entries(TITLES)) {
      const some = anchored.filter((item) => item.kind === kind);
      if (some.length > 0) out.push(`**${title}**: ${some.map(({ name, anchor }) => `[\`${name}\`](#${anchor})`).join(' · ')}`);
    }
    for (const { name, doc, parts, file, original, anchor } of anchored) {
      const key = `${file} ${original}`;
      const before = told.get(key);
      if (!before) told.set(key, { entry, anchor });
      const text = before
        ? [`As in [${before.entry}](#${before.anchor}).`]
        : [fence(parts.map(({ code }) => code).join('\n')), docText(doc ?? '')];
      out.push(`### ${name}`, ...text);
    }
  }
  return `${out.filter(Boolean).join('\n\n')}\n`;
}

/** Generates the package's declarations of src/ in a temporary folder for `use`. */
export function withDeclarations(use) {
  const folder = mkdtempSync(join(tmpdir(), 'antiquant-api-'));
  try {
    const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
    execFileSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.build.json'), '--outDir', folder], { stdio: 'inherit' });
    return use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The files of `npm run api`: path from the root → text. */
export const outputs = (api) => ({
  'docs/api-reference.md': markdown(api),
  'test/package-names.json': `${JSON.stringify(namesOf(api), null, 2)}\n`,
});

if (process.argv[1] && existsSync(process.argv[1]) && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const api = withDeclarations(readApi);
  for (const [path, text] of Object.entries(outputs(api))) writeFileSync(join(root, path), text);
  for (const text of api.unexported) console.error(`not exported: ${text}`);
  for (const text of api.undocumented) console.error(`no docstring: ${text}`);
  console.log(api.entries.map(({ entry, items }) => `${entry}: ${items.length} names`).join('\n'));
  process.exitCode = api.unexported.length + api.undocumented.length > 0 ? 1 : 0;
}
