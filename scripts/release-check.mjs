// `node scripts/release-check.mjs v1.2.3`: checks that the tag, package.json, src/version.ts and CHANGELOG.md name one version, and that
// package.json names the repository.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (file) => readFileSync(join(root, file), 'utf8');
const { version, repository } = JSON.parse(read('package.json'));
const [tag] = process.argv.slice(2);

const escaped = version.replaceAll('.', '\\.');
const problems = [
  tag !== `v${version}` && `the tag: expected v${version}, got ${tag ?? 'none'}`,
  !read('src/version.ts').includes(`'${version}'`) && `src/version.ts: expected ${version}`,
  !new RegExp(`^## \\[${escaped}\\] - \\d{4}-\\d\\d-\\d\\d$`, 'm').test(read('CHANGELOG.md')) &&
    `CHANGELOG.md: expected ## [${version}] - DATE`,
  !(repository?.url ?? repository) && 'package.json: expected repository, which provenance is held against, got none',
].filter(Boolean);
for (const problem of problems) console.error(problem);
if (problems.length === 0) console.log(`${version} may be published`);
process.exit(problems.length > 0 ? 1 : 0);
