import { close, constants, fdatasync, fstat, open, read, write } from 'node:fs';
import { mkdir, open as openHandle, readdir, rename, rm } from 'node:fs/promises';
import { promisify } from 'node:util';

/** A file that is open for reading, and for writing unless it was opened only to be read. */
export interface OpenFile {
  size(): Promise<number>;
  /** Fills `bytes` from `position` on. @returns how many bytes there were: fewer at the end of the file */
  read(bytes: Uint8Array, position: number): Promise<number>;
  /** Writes all of `bytes`, which nobody changes meanwhile. */
  write(bytes: Uint8Array, position: number): Promise<void>;
  /** Resolves when content and length are on disk (fdatasync). After an error nothing is known of what was written. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** What a store that keeps files needs of the file system. Errors are those of the system, with its `code`. */
export interface FileOperations {
  /** Names in a folder, in order. */
  list(folder: string): Promise<readonly string[]>;
  /** Makes the folder when it is missing; the one above it is there. */
  makeFolder(folder: string): Promise<void>;
  /**
   * `create`: a missing file is made. `durable`: what is written is on disk when `write` resolves, as if `sync` had
   * followed it, with one way to another thread instead of two.
   */
  open(path: string, use: keyof typeof FLAGS): Promise<OpenFile>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** Resolves when the names in the folder are on disk. */
  syncFolder(folder: string): Promise<void>;
}

const FLAGS = {
  read: constants.O_RDONLY,
  change: constants.O_RDWR,
  create: constants.O_RDWR | constants.O_CREAT,
  durable: constants.O_RDWR | constants.O_DSYNC,
} as const;

const openFile = promisify(open);
const statFile = promisify(fstat);
const readSome = promisify(read);
const writeSome = promisify(write);
const syncFile = promisify(fdatasync);
const closeFile = promisify(close);

class SystemFile implements OpenFile {
  readonly #descriptor: number;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  async size(): Promise<number> {
    return (await statFile(this.#descriptor)).size;
  }

  async read(bytes: Uint8Array, position: number): Promise<number> {
    let done = 0;
    while (done < bytes.length) {
      const { bytesRead } = await readSome(this.#descriptor, bytes, done, bytes.length - done, position + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return done;
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const rest = bytes.length - done;
      const { bytesWritten } = await writeSome(this.#descriptor, bytes, done, rest, position + done);
      done += bytesWritten;
    }
  }

  sync(): Promise<void> {
    return syncFile(this.#descriptor);
  }

  close(): Promise<void> {
    return closeFile(this.#descriptor);
  }
}

/** The file system of this machine. */
export const systemFiles: FileOperations = {
  async list(folder) {
    return (await readdir(folder)).sort();
  },
  async makeFolder(folder) {
    await mkdir(folder).catch((thrown: NodeJS.ErrnoException) => {
      if (thrown.code !== 'EEXIST') throw thrown;
    });
  },
  async open(path, use) {
    return new SystemFile(await openFile(path, FLAGS[use]));
  },
  rename,
  remove: (path) => rm(path),
  async syncFolder(folder) {
    const handle = await openHandle(folder, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
};
