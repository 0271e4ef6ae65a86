import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { SluiceError } from '../../model/errors.ts';

type Node = string | readonly Node[] | { readonly [key: string]: Node };

/**
 * Reads a `sluice.yaml` into dotted keys. Nested and dotted keys mean the same; a list becomes its items joined by
 * commas; every scalar stays as it is written (`010` is not 8).
 * @throws SluiceError INVALID_ARGUMENT when it is no YAML, a key appears twice, or a value is neither text nor list.
 */
function parseConfigText(text: string, path: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  let root: Node | null;
  try {
    root = parse(text, { schema: 'failsafe' }) as Node | null;
  } catch (thrown) {
    throw SluiceError.from(thrown, 'INVALID_ARGUMENT', `Configuration file ${path} is not valid YAML`);
  }
  if (root === null) return found;
  if (typeof root !== 'object' || Array.isArray(root))
    throw new SluiceError('INVALID_ARGUMENT', `Configuration file ${path} must hold keys and values, such as "a.b: c"`);
  flatten(root as { readonly [key: string]: Node }, '', path, found);
  return found;
}

/**
 * @returns undefined when there is no file at `path`. @throws SluiceError when it cannot be read, or as
 * `parseConfigText`.
 */
export function readConfigFile(path: string): ReadonlyMap<string, string> | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw SluiceError.from(thrown, 'INVALID_ARGUMENT', `Configuration file ${path} cannot be read`);
  }
  return parseConfigText(text, path);
}

function flatten(
  node: { readonly [key: string]: Node },
  prefix: string,
  path: string,
  found: Map<string, string>,
): void {
  for (const [name, value] of Object.entries(node)) {
    const key = prefix === '' ? name : `${prefix}.${name}`;
    if (isMap(value)) {
      flatten(value, key, path, found);
      continue;
    }
    if (found.has(key))
      throw new SluiceError('INVALID_ARGUMENT', `${key} is given twice in ${path}: remove one of them`);
    found.set(key, scalar(value, key, path));
  }
}

function isMap(node: Node): node is { readonly [key: string]: Node } {
  return typeof node === 'object' && node !== null && !Array.isArray(node);
}

function scalar(node: Node, key: string, path: string): string {
  if (typeof node === 'string') return node;
  if (Array.isArray(node) && node.every((item) => typeof item === 'string' && !item.includes(',')))
    return node.join(',');
  throw new SluiceError('INVALID_ARGUMENT', `${key} in ${path} must be a text or a list of texts without commas`);
}
