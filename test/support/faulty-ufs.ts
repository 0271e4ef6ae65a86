import type { UfsFact } from '../../src/model/command.ts';
import { SluiceError } from '../../src/model/errors.ts';
import type { Ufs, UfsAttributes, UfsReadRange, UfsWriter } from '../../src/ufs/ufs.ts';

type Call = 'check' | 'stat' | 'list' | 'create' | 'makeDirectory' | 'delete' | 'rename' | 'setAttributes';

/** Passes everything on, writes down what it is asked, and fails or halts where the test wants. */
export class FaultyUfs implements Ufs {
  readonly uri: string;
  readonly calls: string[] = [];
  closed = false;
  /** Asked before each call; throwing fails it. */
  before: (call: Call, path: string) => void | Promise<void> = () => undefined;
  /** Asked after each call took effect; throwing loses its answer. */
  after: (call: Call, path: string) => void | Promise<void> = () => undefined;
  /** Entries in a page of a listing. */
  pageSize = 2;
  readonly #below: Ufs;

  constructor(below: Ufs) {
    this.#below = below;
    this.uri = below.uri;
  }

  /** The next `call` fails as if the storage were away: before it took effect, or after. */
  failOnce(call: Call, when: 'before' | 'after' = 'before', code: 'UNAVAILABLE' | 'UNAUTHENTICATED' = 'UNAVAILABLE') {
    const saved = this[when];
    this[when] = (asked, path) => {
      if (asked !== call) return saved(asked, path);
      this[when] = saved;
      throw new SluiceError(code, `Injected failure of ${call}`);
    };
  }

  /** How often `call` was asked. */
  count(call: Call): number {
    return this.calls.filter((made) => made.startsWith(`${call} `)).length;
  }

  check(readOnly: boolean): Promise<void> {
    return this.#run('check', String(readOnly), () => this.#below.check(readOnly));
  }

  stat(path: string, signal?: AbortSignal): Promise<UfsFact | undefined> {
    return this.#run('stat', path, () => this.#below.stat(path, signal));
  }

  async *list(path: string, signal?: AbortSignal): AsyncGenerator<readonly UfsFact[]> {
    this.calls.push(`list ${path}`);
    await this.before('list', path);
    for await (const page of this.#below.list(path, signal)) {
      for (let at = 0; at < page.length; at += this.pageSize) {
        yield page.slice(at, at + this.pageSize);
        await this.after('list', path);
      }
    }
  }

  read(path: string, range: UfsReadRange): AsyncIterable<Uint8Array> {
    return this.#below.read(path, range);
  }

  create(path: string, attributes: UfsAttributes): Promise<UfsWriter> {
    return this.#run('create', path, () => this.#below.create(path, attributes));
  }

  makeDirectory(path: string, attributes: UfsAttributes): Promise<void> {
    return this.#run('makeDirectory', path, () => this.#below.makeDirectory(path, attributes));
  }

  delete(path: string, options: { readonly recursive: boolean; readonly signal?: AbortSignal }): Promise<void> {
    return this.#run('delete', path, () => this.#below.delete(path, options));
  }

  rename(source: string, target: string, signal?: AbortSignal): Promise<UfsFact> {
    return this.#run('rename', `${source} ${target}`, () => this.#below.rename(source, target, signal));
  }

  setAttributes(path: string, attributes: UfsAttributes): Promise<void> {
    return this.#run('setAttributes', path, () => this.#below.setAttributes(path, attributes));
  }

  async close(): Promise<void> {
    this.closed = true;
    await this.#below.close();
  }

  async #run<T>(call: Call, path: string, task: () => Promise<T>): Promise<T> {
    this.calls.push(`${call} ${path}`);
    await this.before(call, path);
    const result = await task();
    await this.after(call, path);
    return result;
  }
}
