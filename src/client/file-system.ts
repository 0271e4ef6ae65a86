import type { Logger } from '../host/logger.ts';
import { nodeTimers } from '../host/node-timers.ts';
import { systemClock } from '../host/system-clock.ts';
import { SluiceError } from '../model/errors.ts';
import type { WriteType } from '../model/inode.ts';
import type { MountInfo, SetAttributesRequest } from '../model/operations.ts';
import type { FileStatus } from '../model/status.ts';
import type { WorkerList } from '../model/worker.ts';
import { MetadataChannel } from '../wire/metadata-channel.ts';
import { BlockClient } from './block-client.ts';
import { BlockReader } from './block-reader.ts';
import { BlockRouter } from './block-router.ts';
import { CachedSink } from './cached-sink.ts';
import { FileReader } from './file-reader.ts';
import { FileWriter, type FileWriterMasters } from './file-writer.ts';
import { loginName } from './login.ts';
import type { CallOptions, MetadataCalls } from './metadata-calls.ts';
import { type ClientSettings, completeSettings } from './settings.ts';
import { UploadSink } from './upload-sink.ts';

/** How to reach a cluster, and as whom; whatever is left out has the default of its option. */
export interface ConnectOptions extends Partial<ClientSettings> {
  /** The cluster's secret, when it has one. */
  readonly token?: string;
  /** Hears what was recovered from; nothing is logged without it. */
  readonly logger?: Logger;
}

export interface CreateOptions {
  /** How the bytes become safe; the setting `client.write-type` when absent. */
  readonly writeType?: WriteType;
  /** Permission bits, 0o644 when absent. */
  readonly mode?: number;
  /** Replace a complete file of that name. */
  readonly overwrite?: boolean;
  /** Make missing parent directories. */
  readonly recursive?: boolean;
  /** Bytes per block; the setting `client.block-size` when absent. */
  readonly blockSizeBytes?: number;
}

export interface ListOptions {
  /** Also everything below, depth first, a directory before its children. */
  readonly recursive?: boolean;
  /** Entries that are asked of the masters at a time, up to 10,000. */
  readonly pageSize?: number;
  /** Look at the UFS first, also where the mount's sync interval does not ask for it. */
  readonly sync?: boolean;
  readonly signal?: AbortSignal;
}

export interface StatOptions {
  /** Look at the UFS first, also where the mount's sync interval does not ask for it. */
  readonly sync?: boolean;
}

export interface MountOptions {
  /** Options of the UFS, such as `s3.endpoint`. */
  readonly options?: Readonly<Record<string, string>>;
  readonly readOnly?: boolean;
  /** After this long what is known of the UFS is looked up anew; 0 at each access, -1 never; a minute by default. */
  readonly syncIntervalMs?: number;
}

/** What `setAttributes` changes; absent fields stay as they are. */
export type AttributeChanges = Omit<SetAttributesRequest, 'path'>;

type Content = Uint8Array | string | AsyncIterable<Uint8Array>;

const FILE_MODE = 0o644;
const DIRECTORY_MODE = 0o755;
/** Long enough to spare the UFS, short enough that what others change there is seen. */
const SYNC_INTERVAL_MS = 60_000;

const SILENT: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => SILENT,
};

/**
 * A Sluice cluster as a file system. Metadata comes from the masters, bytes from the workers; elections, lost workers
 * and retries happen inside. Every method throws SluiceError, whose `code` tells what can be done.
 *
 * @example
 * const files = await FileSystem.connect({ masters: ['127.0.0.1:19998'] });
 * await files.writeFile('/data/hello.txt', 'hello\n', { recursive: true });
 * for await (const status of files.list('/data')) console.log(status.path, status.lengthBytes);
 * const bytes = await files.readFile('/data/hello.txt');
 * await files.close();
 */
export class FileSystem {
  readonly #metadata: MetadataCalls;
  readonly #settings: ClientSettings;
  readonly #logger: Logger;
  readonly #router: BlockRouter;
  readonly #client: BlockClient;
  readonly #blocks: BlockReader;

  /** @param metadata the way to the masters, owned from now on. Programs use `connect`. */
  constructor(metadata: MetadataCalls, options: ConnectOptions = {}) {
    const settings = completeSettings(options);
    this.#metadata = metadata;
    this.#settings = settings;
    this.#logger = options.logger ?? SILENT;
    this.#router = new BlockRouter({
      fetchWorkers: () => metadata.call('getWorkers', {}, this.#calling()),
      clock: systemClock,
      refreshMs: settings.workerRefreshMs,
      banMs: settings.workerBanMs,
    });
    this.#client = new BlockClient({
      token: options.token,
      socketsPerWorker: settings.socketsPerWorker,
      timeoutMs: settings.workerTimeoutMs,
    });
    this.#blocks = new BlockReader(this.#router, this.#client);
  }

  /**
   * Makes a client. The masters are dialled by the first operation, which fails with UNAVAILABLE or TIMED_OUT when
   * none of them can be reached. @throws SluiceError INVALID_ARGUMENT for addresses that are none.
   */
  static connect(options: ConnectOptions = {}): Promise<FileSystem> {
    const settings = completeSettings(options);
    let files: FileSystem | undefined;
    const channel = new MetadataChannel({
      masters: settings.masters,
      principal: { user: settings.user === '' ? loginName() : settings.user, groups: settings.groups },
      ...(options.token === undefined ? {} : { token: options.token }),
      readFrom: settings.readFrom,
      timeoutMs: settings.masterTimeoutMs,
      clock: systemClock,
      timers: nodeTimers,
      random: { next: () => Math.random() },
      logger: options.logger ?? SILENT,
      clusterChanged: () => {
        if (files !== undefined) files.#router.forget();
      },
    });
    files = new FileSystem(channel, options);
    return Promise.resolve(files);
  }

  /** Opens a complete file for reading. @throws SluiceError NOT_FOUND, IS_A_DIRECTORY, INCOMPLETE */
  async open(path: string, options: { readonly signal?: AbortSignal } = {}): Promise<FileReader> {
    const status = readable(await this.#metadata.call('getStatus', { path }, this.#calling(options.signal)));
    return new FileReader(status, this.#blocks, {
      rangeBytes: this.#settings.readRangeBytes,
      readAhead: this.#settings.readAhead,
      statAgain: () => this.stat(path, { sync: true }),
    });
  }

  /** All bytes of a file, which must be below 2 GiB: larger ones are read by `open`. */
  async readFile(path: string): Promise<Uint8Array> {
    const reader = await this.open(path);
    const { lengthBytes } = reader.status;
    if (lengthBytes >= 2 ** 31)
      throw new SluiceError('INVALID_ARGUMENT', `${path} has ${lengthBytes} bytes, too many for one buffer: open it`);
    return reader.read(0, lengthBytes);
  }

  /** Begins a new file, to be read after the writer's `close`. @throws SluiceError ALREADY_EXISTS, NOT_FOUND, … */
  async create(path: string, options: CreateOptions = {}): Promise<FileWriter> {
    const created = await this.#create(path, options, false);
    const Sink = created.writeType === 'MUST_CACHE' ? CachedSink : UploadSink;
    const sink = new Sink(created, this.#router, this.#client, this.#logger);
    return new FileWriter(created, sink, this.#mastersOf(created));
  }

  /** Writes a whole file. @returns its status. */
  async writeFile(path: string, content: Content, options: CreateOptions = {}): Promise<FileStatus> {
    const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
    if (bytes instanceof Uint8Array && bytes.length === 0) return this.#create(path, options, true);
    const writer = await this.create(path, options);
    try {
      if (bytes instanceof Uint8Array) return await writer.writeWhole(bytes);
      for await (const piece of bytes) await writer.write(piece);
      return await writer.close();
    } catch (thrown) {
      await writer.abort();
      throw thrown;
    }
  }

  /** The entries of a directory in the order of their names; a file is listed as itself. Fetches page by page. */
  async *list(path: string, options: ListOptions = {}): AsyncGenerator<FileStatus> {
    const { recursive = false, pageSize: limit = 0, sync = false, signal } = options;
    let cursor = '';
    do {
      const request = { path, recursive, cursor, limit, sync };
      const page = await this.#metadata.call('listStatus', request, this.#calling(signal));
      yield* page.entries;
      cursor = page.cursor;
    } while (cursor !== '');
  }

  /** @throws SluiceError NOT_FOUND */
  stat(path: string, { sync = false }: StatOptions = {}): Promise<FileStatus> {
    return this.#metadata.call('getStatus', { path, sync }, this.#calling());
  }

  async exists(path: string): Promise<boolean> {
    return (await this.#metadata.call('exists', { path }, this.#calling())).exists;
  }

  /** Renames as POSIX does; `overwrite` replaces a file, or an empty directory, at `target`. */
  async rename(source: string, target: string, options: { readonly overwrite?: boolean } = {}): Promise<void> {
    const { overwrite = false } = options;
    await this.#metadata.call('rename', { source, target, overwrite }, this.#calling());
  }

  /** Deletes a file or directory; `recursive` with all that is below it, `keepUfs` here but not in the UFS. */
  async delete(
    path: string,
    options: { readonly recursive?: boolean; readonly keepUfs?: boolean } = {},
  ): Promise<void> {
    const { recursive = false, keepUfs = false } = options;
    await this.#metadata.call('delete', { path, recursive, keepUfs, id: 0 }, this.#calling());
  }

  /** Makes a directory; `recursive` makes missing parents, and an existing directory is no error then. */
  mkdir(path: string, options: { readonly recursive?: boolean; readonly mode?: number } = {}): Promise<FileStatus> {
    const { recursive = false, mode = DIRECTORY_MODE } = options;
    return this.#metadata.call('makeDirectory', { path, mode, recursive, allowExists: recursive }, this.#calling());
  }

  setAttributes(path: string, changes: AttributeChanges): Promise<FileStatus> {
    return this.#metadata.call('setAttributes', { path, ...changes }, this.#calling());
  }

  /** Attaches a UFS such as `s3://bucket/prefix` or `file:///data` to a new directory. */
  mount(path: string, uri: string, options: MountOptions = {}): Promise<MountInfo> {
    const { options: ufs = {}, readOnly = false, syncIntervalMs = SYNC_INTERVAL_MS } = options;
    return this.#metadata.call('mount', { path, uri, options: ufs, readOnly, syncIntervalMs }, this.#calling());
  }

  /** Detaches a UFS; nothing is deleted there. */
  async unmount(path: string): Promise<void> {
    await this.#metadata.call('unmount', { path }, this.#calling());
  }

  async mounts(): Promise<readonly MountInfo[]> {
    return (await this.#metadata.call('getMountTable', {}, this.#calling())).mounts;
  }

  /** The workers as the leader has them now. */
  workers(): Promise<WorkerList> {
    return this.#router.refresh();
  }

  /** Closes all connections. Readers and writers of this client fail from now on. */
  async close(): Promise<void> {
    this.#client.close();
    await this.#metadata.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #calling(signal?: AbortSignal): CallOptions {
    const timeoutMs = this.#settings.masterTimeoutMs;
    return signal === undefined ? { timeoutMs } : { timeoutMs, signal };
  }

  #create(path: string, options: CreateOptions, empty: boolean): Promise<FileStatus> {
    const {
      writeType = this.#settings.writeType,
      mode = FILE_MODE,
      overwrite = false,
      recursive = false,
      blockSizeBytes = this.#settings.blockSizeBytes,
    } = options;
    const request = { path, writeType, mode, overwrite, recursive, blockSizeBytes, empty };
    return this.#metadata.call('createFile', request, this.#calling());
  }

  #mastersOf({ path, id }: FileStatus): FileWriterMasters {
    return {
      complete: (lengthBytes, { ufsVersion, ufsModifiedMs }) =>
        this.#metadata.call('completeFile', { path, id, lengthBytes, ufsVersion, ufsModifiedMs }, this.#calling()),
      check: async () => {
        const now = await this.stat(path);
        if (now.id === id) return;
        throw new SluiceError('NOT_FOUND', `${path} was deleted and made anew while it was written: write it again`);
      },
      remove: async () => {
        try {
          // What the UFS had at this path before stays there.
          await this.#metadata.call('delete', { path, id, recursive: false, keepUfs: true }, this.#calling());
        } catch (err) {
          this.#logger.warn({ err, path }, 'an incomplete file could not be removed');
        }
      },
    };
  }
}

function readable(status: FileStatus): FileStatus {
  if (status.kind === 'directory')
    throw new SluiceError('IS_A_DIRECTORY', `${status.path} is a directory: list it, or open a file in it`);
  if (!status.complete)
    throw new SluiceError('INCOMPLETE', `${status.path} is still being written: wait until it is complete`);
  return status;
}
