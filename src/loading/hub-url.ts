// `hf:org/name[@revision]/file`: a file of a model hub, as its public URL. Rule: huggingface.co's `/ORG/NAME/resolve/REVISION/FILE`, as
// huggingface_hub's hf_hub_url makes it.
import { ArgumentError } from '../errors.js';

const HUB = 'https://huggingface.co';
const SCHEME = /^hf:/i;
const FORM = /^hf:([\w.-]+)\/([\w.-]+?)(?:@([^/\s]+))?\/(.+)$/i;

const isPlain = (part: string): boolean => part !== '' && part !== '.' && part !== '..';

/**
 * The URL of a hub's file; any other text as it is. A slash in a revision is written %2F.
 * @throws ArgumentError if it begins like one and is none
 */
export function hubUrl(from: string): URL | string {
  if (!SCHEME.test(from)) return from;
  const [, org = '', name = '', revision = 'main', path = ''] = FORM.exec(from) ?? [];
  const parts = path.split('/');
  let said: string | undefined;
  try {
    said = decodeURIComponent(revision);
  } catch {
    said = undefined;
  }
  if (said === undefined || ![org, name, ...parts, ...said.split('/')].every(isPlain))
    throw new ArgumentError('from', 'hf:ORG/NAME/FILE or hf:ORG/NAME@REVISION/FILE', 'one of another form');
  return new URL(`${HUB}/${org}/${name}/resolve/${encodeURIComponent(said)}/${parts.map(encodeURIComponent).join('/')}`);
}
