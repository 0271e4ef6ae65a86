import { randomUUID } from 'node:crypto';
import { mkdir, open, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { SluiceError } from '../model/errors.ts';
import { LevelDatabase } from './level-database.ts';
import type { Closeable } from './scope.ts';

/** What keeps its data in a folder; a folder serves one kind for ever. `local`: the folder of a whole local cluster. */
export type FolderKind = 'master' | 'worker' | 'local';

/** Who a folder belongs to; written once. */
interface Identity {
  readonly kind: FolderKind;
  readonly id: string;
  readonly format: number;
}

/** Layout of the folders that this version writes. Newer ones are refused, older ones would be converted here. */
const FORMAT = 1;
const KINDS: readonly string[] = ['master', 'worker', 'local'] satisfies FolderKind[];
const IDENTITY_FILE = 'identity.json';
const PID_FILE = 'process.pid';

/**
 * The folder of one process, held exclusively. The lock is a file lock of the operating system (that of a LevelDB which
 * holds nothing), so it ends with the process however that ends; the pid file only names the holder.
 */
export class DataFolder implements Closeable {
  readonly path: string;
  /** UUID, made when the folder was first used. */
  readonly id: string;
  readonly #lock: LevelDatabase<string>;

  private constructor(path: string, id: string, lock: LevelDatabase<string>) {
    this.path = path;
    this.id = id;
    this.#lock = lock;
  }

  /**
   * Makes the folder when it is missing, takes it, and checks that it is ours and writable.
   * @throws SluiceError UNAVAILABLE when a live process has it, INVALID_ARGUMENT when it is of another kind or version,
   * CORRUPT when its identity is unreadable, EXHAUSTED or PERMISSION_DENIED when it cannot be written.
   */
  static async open(path: string, kind: FolderKind): Promise<DataFolder> {
    await writing(path, () => makeFolder(path));
    const lock = await takeLock(path);
    try {
      await writing(path, () => writeFile(join(path, PID_FILE), `${process.pid}\n`));
      const identity = (await readIdentity(path)) ?? (await writing(path, () => makeIdentity(path, kind)));
      check(path, kind, identity);
      return new DataFolder(path, identity.id, lock);
    } catch (thrown) {
      await lock.close();
      throw thrown;
    }
  }

  /** Path of a file or folder of this name inside. */
  at(name: string): string {
    return join(this.path, name);
  }

  close(): Promise<void> {
    return this.#lock.close();
  }
}

/** Like `mkdir -p`. Node's own never ends where a file system cannot make folders, as in /proc (Node 22 and 24). */
async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    if (code === 'EEXIST' && (await stat(path)).isDirectory()) return;
    const above = dirname(path);
    if (code !== 'ENOENT' || above === path) throw thrown;
    await makeFolder(above);
    await mkdir(path).catch((again: NodeJS.ErrnoException) => {
      if (again.code !== 'EEXIST') throw again;
    });
  }
}

async function takeLock(path: string): Promise<LevelDatabase<string>> {
  try {
    return await LevelDatabase.openText(join(path, 'lock'), { blockCacheBytes: 0, writeBufferBytes: 64 * 1024 });
  } catch (thrown) {
    const error = SluiceError.from(thrown);
    if (error.code !== 'UNAVAILABLE') throw error;
    const holder = await readFile(join(path, PID_FILE), 'utf8').catch(() => '');
    const who = /^\d+$/.test(holder.trim()) ? `process ${holder.trim()}` : 'another process';
    throw new SluiceError('UNAVAILABLE', `Data folder ${path} is in use by ${who}: stop it, or choose another folder`, {
      cause: thrown,
    });
  }
}

async function readIdentity(path: string): Promise<Identity | undefined> {
  let text: string;
  try {
    text = await readFile(join(path, IDENTITY_FILE), 'utf8');
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw SluiceError.from(thrown, 'PERMISSION_DENIED', `Data folder ${path} cannot be read`);
  }
  try {
    const { kind, id, format } = JSON.parse(text) as Partial<Identity>;
    if (kind !== undefined && KINDS.includes(kind) && typeof id === 'string' && typeof format === 'number')
      return { kind, id, format };
  } catch {
    // Not JSON: reported below like any other damage.
  }
  throw new SluiceError(
    'CORRUPT',
    `${join(path, IDENTITY_FILE)} is damaged: restore it from a copy, or move the folder away and start anew`,
  );
}

async function makeIdentity(path: string, kind: FolderKind): Promise<Identity> {
  const identity: Identity = { kind, id: randomUUID(), format: FORMAT };
  const temporary = join(path, `${IDENTITY_FILE}.new`);
  const file = await open(temporary, 'w');
  try {
    await file.writeFile(`${JSON.stringify(identity)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, join(path, IDENTITY_FILE));
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
  return identity;
}

function check(path: string, kind: FolderKind, identity: Identity): void {
  if (identity.kind !== kind)
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `Data folder ${path} belongs to a ${identity.kind}, this is a ${kind}: choose another folder`,
    );
  if (identity.format > FORMAT)
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `Data folder ${path} has format ${identity.format}, this version knows up to ${FORMAT}: use a newer version`,
    );
}

/** Runs a change of the folder, with errors that say what to do. */
async function writing<T>(path: string, change: () => Promise<T>): Promise<T> {
  try {
    return await change();
  } catch (thrown) {
    const code = (thrown as NodeJS.ErrnoException).code;
    const options = { cause: thrown };
    if (code === 'ENOSPC' || code === 'EDQUOT')
      throw new SluiceError('EXHAUSTED', `Data folder ${path} is full: free space on its disk`, options);
    if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS' || code === 'ENOENT')
      throw new SluiceError(
        'PERMISSION_DENIED',
        `Data folder ${path} cannot be written: give this user write access, or choose another folder`,
        options,
      );
    if (code === 'ENOTDIR' || code === 'EEXIST')
      throw new SluiceError('INVALID_ARGUMENT', `Data folder ${path} is not a folder: choose another path`, options);
    throw SluiceError.from(thrown, 'INTERNAL', `Data folder ${path} cannot be used`);
  }
}
