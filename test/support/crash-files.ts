import type { Random } from '../../src/base/random.ts';
import { randomInt } from '../../src/base/random.ts';
import type { FileOperations, OpenFile } from '../../src/host/file-operations.ts';

type Change =
  | { readonly kind: 'write'; readonly file: number; readonly position: number; readonly bytes: Buffer }
  | { readonly kind: 'create'; readonly path: string; readonly file: number }
  | { readonly kind: 'rename'; readonly from: string; readonly to: string }
  | { readonly kind: 'remove'; readonly path: string };
type Step = Change | { readonly kind: 'sync'; readonly file: number } | { readonly kind: 'syncFolder' };

const SECTOR_BYTES = 512;

function systemError(code: string, call: string): Error {
  return Object.assign(new Error(`${code}: ${call}`), { code, syscall: call });
}

/** What is in a folder. */
class Content {
  readonly names: Map<string, number>;
  readonly files: Map<number, Buffer>;

  constructor(names: ReadonlyMap<string, number> = new Map(), files: ReadonlyMap<number, Buffer> = new Map()) {
    this.names = new Map(names);
    // Buffers are replaced, never changed.
    this.files = new Map(files);
  }

  copy(): Content {
    return new Content(this.names, this.files);
  }

  apply(change: Change): void {
    switch (change.kind) {
      case 'create':
        this.names.set(change.path, change.file);
        if (!this.files.has(change.file)) this.files.set(change.file, Buffer.alloc(0));
        break;
      case 'rename': {
        const file = this.names.get(change.from);
        if (file === undefined) throw systemError('ENOENT', 'rename');
        this.names.delete(change.from);
        this.names.set(change.to, file);
        break;
      }
      case 'remove':
        this.names.delete(change.path);
        break;
      case 'write': {
        const before = this.files.get(change.file) ?? Buffer.alloc(0);
        const after = Buffer.alloc(Math.max(before.length, change.position + change.bytes.length));
        before.copy(after);
        change.bytes.copy(after, change.position);
        this.files.set(change.file, after);
        break;
      }
    }
  }
}

/** What is surely on the disk, and what is not yet. */
class Disk {
  readonly durable: Content;
  pending: Change[];

  constructor(durable: Content, pending: readonly Change[] = []) {
    this.durable = durable;
    this.pending = [...pending];
  }

  copy(): Disk {
    return new Disk(this.durable.copy(), this.pending);
  }

  step(step: Step): void {
    if (step.kind === 'sync') this.#settle((change) => change.kind === 'write' && change.file === step.file);
    else if (step.kind === 'syncFolder') this.#settle((change) => change.kind !== 'write');
    else this.pending.push(step);
  }

  /** Everything that was done, as a process sees it, or the next one when this one was killed. */
  seen(): Content {
    const content = this.durable.copy();
    for (const change of this.pending) content.apply(change);
    return content;
  }

  /** Power is lost: names changed in their order up to some point, of writes any sectors are there. */
  lost(random: Random): Content {
    const content = this.durable.copy();
    const names = this.pending.filter(({ kind }) => kind !== 'write');
    for (const change of names.slice(0, randomInt(random, 0, names.length))) content.apply(change);
    for (const change of this.pending) {
      if (change.kind !== 'write' || random.next() < 0.3) continue;
      const whole = random.next() < 0.3;
      for (let at = 0; at < change.bytes.length; ) {
        const end = Math.min(change.bytes.length, at + SECTOR_BYTES - ((change.position + at) % SECTOR_BYTES));
        const sector = { ...change, position: change.position + at, bytes: change.bytes.subarray(at, end) };
        if (whole || random.next() < 0.5) content.apply(sector);
        at = end;
      }
    }
    return content;
  }

  #settle(done: (change: Change) => boolean): void {
    for (const change of this.pending) if (done(change)) this.durable.apply(change);
    this.pending = this.pending.filter((change) => !done(change));
  }
}

/** A failure of the file system: the `after`-th call of these kinds from now fails, and every one behind it. */
export interface Failure {
  readonly code: string;
  readonly calls: readonly ('write' | 'sync' | 'rename' | 'syncFolder' | 'create')[];
  readonly after: number;
}

/**
 * A file system in memory that knows what a crash may leave of it: what was not synced (a file's content by `sync`,
 * names by `syncFolder`) may be missing, and a write may be cut anywhere.
 */
export class CrashFiles implements FileOperations {
  readonly #disk: Disk;
  /** What a process sees. */
  readonly #current: Content;
  #marked: Disk;
  #steps: Step[] = [];
  #next = 1;
  #failure: Failure | undefined;
  #calls = 0;

  constructor(content = new Content()) {
    this.#disk = new Disk(content);
    this.#current = content.copy();
    this.#marked = this.#disk.copy();
    for (const file of content.files.keys()) this.#next = Math.max(this.#next, file + 1);
  }

  /** Crashes are replayed from here on. */
  mark(): void {
    this.#marked = this.#disk.copy();
    this.#steps = [];
  }

  /** From now on. @returns whether the failure has happened, when asked */
  fail(failure: Failure): () => boolean {
    this.#failure = failure;
    this.#calls = 0;
    return () => this.#calls >= failure.after;
  }

  /** A file system with what is there now, that never fails. */
  reopened(): CrashFiles {
    return new CrashFiles(this.#current.copy());
  }

  /** The bytes of a file, to be changed by `damage`. */
  bytesOf(path: string): Buffer {
    const content = this.#current;
    return Buffer.from(content.files.get(content.names.get(path) ?? 0) ?? Buffer.alloc(0));
  }

  get paths(): readonly string[] {
    return [...this.#current.names.keys()].sort();
  }

  /** The same files, but for one that has other bytes, or is missing. */
  damaged(path: string, bytes: Buffer | undefined): CrashFiles {
    const content = this.#current.copy();
    const file = content.names.get(path) ?? 0;
    if (bytes === undefined) content.names.delete(path);
    else content.files.set(file, bytes);
    return new CrashFiles(content);
  }

  /**
   * What crashes since the mark may have left: between all steps, within writes (at each byte of short ones, and some
   * places of others), and after losses of power.
   */
  *crashes(random: Random): Generator<readonly [string, CrashFiles]> {
    const disk = this.#marked.copy();
    for (const [i, step] of this.#steps.entries()) {
      if (step.kind === 'write') {
        const { length } = step.bytes;
        const cuts = length <= 64 ? length - 1 : 8;
        for (let cut = 1; cut <= cuts; cut += 1) {
          const at = length <= 64 ? cut : randomInt(random, 1, length - 1);
          const torn = disk.copy();
          torn.step({ ...step, bytes: step.bytes.subarray(0, at) });
          yield [`killed in step ${i}, a write cut at ${at} of ${length}`, new CrashFiles(torn.seen())];
        }
      }
      disk.step(step);
      yield [`killed after step ${i} (${step.kind})`, new CrashFiles(disk.seen())];
      for (let n = 0; n < 2; n += 1)
        yield [`power lost after step ${i} (${step.kind})`, new CrashFiles(disk.lost(random))];
    }
  }

  /** What losses of power right now may leave. */
  *losses(random: Random): Generator<CrashFiles> {
    yield this.reopened();
    for (let n = 0; n < 3; n += 1) yield new CrashFiles(this.#disk.lost(random));
  }

  async list(folder: string): Promise<readonly string[]> {
    const inside = this.paths.filter((path) => path.startsWith(`${folder}/`));
    return inside.map((path) => path.slice(folder.length + 1));
  }

  async makeFolder(): Promise<void> {}

  async open(path: string, use: 'read' | 'change' | 'create' | 'durable'): Promise<OpenFile> {
    let file = this.#current.names.get(path);
    if (file === undefined) {
      if (use !== 'create') throw systemError('ENOENT', 'open');
      this.#check('create');
      file = this.#next;
      this.#next += 1;
      this.#do({ kind: 'create', path, file });
    }
    return this.#opened(file, use === 'durable');
  }

  async rename(from: string, to: string): Promise<void> {
    this.#check('rename');
    this.#do({ kind: 'rename', from, to });
  }

  async remove(path: string): Promise<void> {
    this.#do({ kind: 'remove', path });
  }

  async syncFolder(): Promise<void> {
    this.#check('syncFolder');
    this.#do({ kind: 'syncFolder' });
  }

  #opened(file: number, durable: boolean): OpenFile {
    const content = () => this.#current.files.get(file) ?? Buffer.alloc(0);
    return {
      size: async () => content().length,
      read: async (bytes, position) => content().copy(bytes, 0, position),
      write: async (bytes, position) => {
        this.#check('write');
        this.#do({ kind: 'write', file, position, bytes: Buffer.from(bytes) });
        if (!durable) return;
        this.#check('sync');
        this.#do({ kind: 'sync', file });
      },
      sync: async () => {
        this.#check('sync');
        this.#do({ kind: 'sync', file });
      },
      close: async () => {},
    };
  }

  #check(call: Failure['calls'][number]): void {
    if (this.#failure?.calls.includes(call) !== true) return;
    this.#calls += 1;
    if (this.#calls >= this.#failure.after) throw systemError(this.#failure.code, call);
  }

  #do(step: Step): void {
    this.#steps.push(step);
    this.#disk.step(step);
    if (step.kind !== 'sync' && step.kind !== 'syncFolder') this.#current.apply(step);
  }
}
