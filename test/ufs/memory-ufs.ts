import type { UfsFact } from '../../src/model/command.ts';
import { SluiceError } from '../../src/model/errors.ts';
import { compareKeys } from '../../src/model/path.ts';
import type { Ufs, UfsAttributes, UfsReadRange, UfsWriter } from '../../src/ufs/ufs.ts';
import {
  ancestorsOf,
  baseName,
  checkChangeable,
  checkRename,
  checkUfsPath,
  isAtOrBelow,
  parentPath,
} from '../../src/ufs/ufs-path.ts';

interface Node {
  readonly kind: 'file' | 'directory';
  readonly bytes: Uint8Array;
  readonly version: string;
  readonly attributes: UfsAttributes & { readonly modifiedMs: number };
}

/**
 * A UFS in this process: the naive twin of the real ones. `outage` makes every call fail until it is undefined again.
 */
export class MemoryUfs implements Ufs {
  readonly uri: string;
  outage: SluiceError | undefined;
  readonly #nodes = new Map<string, Node>();
  #changes = 0;

  constructor(name: string) {
    this.uri = `memory://${name}`;
    this.#nodes.set('', this.#directory({}));
  }

  async check(): Promise<void> {
    this.#enter();
  }

  async stat(path: string, signal?: AbortSignal): Promise<UfsFact | undefined> {
    this.#enter(signal);
    checkUfsPath(path);
    return this.#fact(path);
  }

  async *list(path: string, signal?: AbortSignal): AsyncGenerator<readonly UfsFact[]> {
    this.#enter(signal);
    checkUfsPath(path);
    this.#requireDirectory(path);
    const names = this.#childNames(path).sort(compareKeys);
    for (let at = 0; at < names.length; at += 1000) {
      this.#enter(signal);
      const facts = names.slice(at, at + 1000).map((name) => this.#fact(path === '' ? name : `${path}/${name}`));
      yield facts.filter((fact) => fact !== undefined);
    }
  }

  async *read(path: string, range: UfsReadRange): AsyncGenerator<Uint8Array> {
    this.#enter(range.signal);
    checkUfsPath(path);
    const node = this.#nodes.get(path);
    if (node === undefined) throw this.#error('NOT_FOUND', path, 'does not exist');
    if (node.kind === 'directory') throw this.#error('IS_A_DIRECTORY', path, 'is a directory');
    if (range.version !== '' && range.version !== node.version) throw this.#error('STALE', path, 'has changed');
    const end = Math.min(node.bytes.byteLength, range.offset + range.lengthBytes);
    for (let at = range.offset; at < end; at += 65_536) {
      this.#enter(range.signal);
      yield Buffer.from(node.bytes.subarray(at, Math.min(end, at + 65_536)));
    }
  }

  async create(path: string, attributes: UfsAttributes): Promise<UfsWriter> {
    this.#enter();
    checkChangeable(this.uri, path, 'create');
    if (this.#nodes.get(path)?.kind === 'directory') throw this.#error('IS_A_DIRECTORY', path, 'is a directory');
    this.#makeParents(path);
    const chunks: Uint8Array[] = [];
    return {
      write: async (chunk) => {
        this.#enter();
        chunks.push(Buffer.from(chunk));
      },
      complete: async () => {
        this.#enter();
        if (this.#nodes.get(path)?.kind === 'directory') throw this.#error('IS_A_DIRECTORY', path, 'is a directory');
        this.#makeParents(path);
        const defaults = { mode: 0o644, modifiedMs: Date.now() };
        const version = `v${++this.#changes}`;
        const kept = { ...defaults, ...attributes };
        this.#nodes.set(path, { kind: 'file', bytes: Buffer.concat(chunks), version, attributes: kept });
        return this.#fact(path)!;
      },
      abort: async () => {
        chunks.length = 0;
      },
    };
  }

  async makeDirectory(path: string, attributes: UfsAttributes): Promise<void> {
    this.#enter();
    if (path === '') return;
    checkChangeable(this.uri, path, 'create');
    this.#makeParents(path);
    const node = this.#nodes.get(path);
    if (node?.kind === 'file') throw this.#error('NOT_A_DIRECTORY', path, 'is a file');
    if (node === undefined) this.#nodes.set(path, this.#directory(attributes));
  }

  async delete(path: string, options: { readonly recursive: boolean; readonly signal?: AbortSignal }): Promise<void> {
    this.#enter(options.signal);
    checkChangeable(this.uri, path, 'delete');
    if (!options.recursive && this.#childNames(path).length > 0) throw this.#error('NOT_EMPTY', path, 'is not empty');
    for (const key of this.#subtree(path)) this.#nodes.delete(key);
  }

  async rename(source: string, target: string, signal?: AbortSignal): Promise<UfsFact> {
    this.#enter(signal);
    checkRename(this.uri, source, target);
    const node = this.#nodes.get(source);
    const old = this.#nodes.get(target);
    if (node === undefined) throw this.#error('NOT_FOUND', source, 'does not exist');
    if (source === target) return this.#fact(source)!;
    if (old?.kind === 'directory' && node.kind === 'file')
      throw this.#error('IS_A_DIRECTORY', target, 'is a directory');
    if (old?.kind === 'file' && node.kind === 'directory') throw this.#error('NOT_A_DIRECTORY', target, 'is a file');
    if (this.#childNames(target).length > 0) throw this.#error('NOT_EMPTY', target, 'is not empty');
    this.#makeParents(target);
    for (const key of this.#subtree(source)) {
      this.#nodes.set(target + key.slice(source.length), this.#nodes.get(key)!);
      this.#nodes.delete(key);
    }
    return this.#fact(target)!;
  }

  async setAttributes(path: string, attributes: UfsAttributes): Promise<void> {
    this.#enter();
    const node = this.#nodes.get(path);
    if (node === undefined) throw this.#error('NOT_FOUND', path, 'does not exist');
    this.#nodes.set(path, { ...node, attributes: { ...node.attributes, ...attributes } });
  }

  async close(): Promise<void> {}

  #enter(signal?: AbortSignal): void {
    if (signal?.aborted) throw new SluiceError('CANCELLED', 'Given up');
    if (this.outage !== undefined) throw this.outage;
  }

  #directory(attributes: UfsAttributes): Node {
    const kept = { mode: 0o755, modifiedMs: Date.now(), ...attributes };
    return { kind: 'directory', bytes: new Uint8Array(), version: '', attributes: kept };
  }

  #makeParents(path: string): void {
    for (const parent of ancestorsOf(path)) {
      const node = this.#nodes.get(parent);
      if (node?.kind === 'file') throw this.#error('NOT_A_DIRECTORY', parent, 'is a file');
      if (node === undefined) this.#nodes.set(parent, this.#directory({}));
    }
  }

  #requireDirectory(path: string): void {
    const node = this.#nodes.get(path);
    if (node === undefined) throw this.#error('NOT_FOUND', path, 'does not exist');
    if (node.kind === 'file') throw this.#error('NOT_A_DIRECTORY', path, 'is a file');
  }

  #childNames(path: string): string[] {
    const keys = [...this.#nodes.keys()].filter((key) => key !== '' && key !== path && parentPath(key) === path);
    return keys.map(baseName);
  }

  #subtree(path: string): string[] {
    return [...this.#nodes.keys()].filter((key) => isAtOrBelow(key, path));
  }

  #fact(path: string): UfsFact | undefined {
    const node = this.#nodes.get(path);
    if (node === undefined) return undefined;
    const { kind, bytes, version, attributes } = node;
    return { name: baseName(path), kind, lengthBytes: bytes.byteLength, version, ...attributes };
  }

  #error(code: 'NOT_FOUND' | 'STALE' | 'IS_A_DIRECTORY' | 'NOT_A_DIRECTORY' | 'NOT_EMPTY', path: string, says: string) {
    return new SluiceError(code, `${this.uri}/${path} ${says}`);
  }
}
