import { access, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Clock, Timers } from '../base/clock.ts';
import { DataFolder } from '../host/data-folder.ts';
import type { Closeable } from '../host/scope.ts';
import { SluiceError } from '../model/errors.ts';
import { delay } from './delay.ts';
import type { LocalPlaces } from './local-files.ts';
import { choosePlaces } from './local-ports.ts';
import { SupervisedProcess } from './supervised-process.ts';

export interface LocalClusterOptions {
  /** Keeps everything: data, logs, ports, and the files that are mounted at the root. */
  readonly folder: string;
  /** Arguments that every process gets, such as `--config`. */
  readonly arguments: readonly string[];
  readonly clock: Clock;
  readonly timers: Timers;
  /** Says what happened to a process. */
  onEvent(message: string): void;
}

const POLL_MS = 50;
const START_MS = 60_000;
const PROBE_MS = 1000;

const WELCOME = `This folder is mounted at the root of the local Sluice cluster: what is put here appears there, and
what is written there with CACHE_THROUGH or THROUGH appears here.
`;

type Place = LocalPlaces['masters'][number];

/** A cluster of real processes on this machine, for trying things out. */
export class LocalCluster implements Closeable {
  readonly places: LocalPlaces;
  /** Folder that is mounted at the root. */
  readonly storage: string;
  readonly #options: LocalClusterOptions;
  readonly #folder: DataFolder;
  readonly #masters: readonly SupervisedProcess[];
  readonly #workers: readonly SupervisedProcess[];
  #closing: Promise<void> | undefined;

  private constructor(options: LocalClusterOptions, folder: DataFolder, places: LocalPlaces) {
    this.#options = options;
    this.#folder = folder;
    this.places = places;
    this.storage = folder.at('storage');
    this.#masters = places.masters.map((place) => this.#process('master', place, this.#masterSettings(place)));
    this.#workers = places.workers.map((place) => this.#process('worker', place, this.#workerSettings(place)));
  }

  /** Takes the folder and starts the processes. @throws SluiceError UNAVAILABLE when another cluster has the folder. */
  static async start(options: LocalClusterOptions): Promise<LocalCluster> {
    const folder = await DataFolder.open(options.folder, 'local');
    try {
      await mkdir(folder.at('logs'), { recursive: true });
      await prepareStorage(folder.at('storage'));
      const cluster = new LocalCluster(options, folder, await choosePlaces(folder.path));
      for (const child of [...cluster.#masters, ...cluster.#workers]) child.start();
      return cluster;
    } catch (thrown) {
      await folder.close();
      throw thrown;
    }
  }

  /** Addresses of the masters for clients. */
  get addresses(): readonly string[] {
    return this.places.masters.map(({ port }) => `127.0.0.1:${port}`);
  }

  /** Folder of the processes' logs. */
  get logs(): string {
    return this.#folder.at('logs');
  }

  /** Waits until every process can serve. @throws SluiceError TIMED_OUT; CANCELLED when `signal` is aborted. */
  async waitUntilReady(signal: AbortSignal): Promise<void> {
    const { clock, timers } = this.#options;
    const deadlineMs = clock.monotonicMs() + START_MS;
    for (const { name, statusPort } of [...this.places.masters, ...this.places.workers]) {
      for (let reason = await probe(statusPort); reason !== undefined; reason = await probe(statusPort)) {
        if (signal.aborted) throw new SluiceError('CANCELLED', 'The start was interrupted');
        if (clock.monotonicMs() > deadlineMs) {
          const message = `${name} is not ready after ${START_MS / 1000} s (${reason}): see ${this.logs}`;
          throw new SluiceError('TIMED_OUT', message);
        }
        await delay(timers, POLL_MS, signal);
      }
    }
  }

  /** Stops the workers, then the masters, and waits until all are gone. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await Promise.all(this.#workers.map((child) => child.stop()));
    await Promise.all(this.#masters.map((child) => child.stop()));
    await this.#folder.close();
  }

  #process(kind: 'master' | 'worker', { name }: Place, settings: Readonly<Record<string, string>>): SupervisedProcess {
    const sets = Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
    const { clock, timers, onEvent: onEnd } = this.#options;
    return new SupervisedProcess({
      name,
      command: [entryPath(), kind, ...this.#options.arguments, ...sets],
      logPath: join(this.logs, `${name}.log`),
      clock,
      timers,
      onEnd,
    });
  }

  #masterSettings({ name, port, statusPort }: Place): Record<string, string> {
    return {
      'master.name': name,
      'master.data': this.#folder.at(name),
      'master.peers': this.places.masters.map((master) => `${master.name}=127.0.0.1:${master.port}`).join(','),
      'master.port': String(port),
      'master.status.port': String(statusPort),
      'master.root.ufs': `file://${this.storage}`,
    };
  }

  #workerSettings({ name, port, statusPort }: Place): Record<string, string> {
    return {
      'worker.data': this.#folder.at(name),
      'worker.masters': this.addresses.join(','),
      'worker.port': String(port),
      'worker.status.port': String(statusPort),
    };
  }
}

/** The program itself, as source or compiled, whichever runs. */
function entryPath(): string {
  const ending = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return fileURLToPath(new URL(`main.${ending}`, import.meta.url));
}

async function prepareStorage(path: string): Promise<void> {
  const existed = await access(path).then(
    () => true,
    () => false,
  );
  if (existed) return;
  await mkdir(path, { recursive: true });
  await writeFile(join(path, 'README.txt'), WELCOME);
}

/** @returns undefined when the process is ready, else why not. */
async function probe(statusPort: number): Promise<string | undefined> {
  try {
    const response = await fetch(`http://127.0.0.1:${statusPort}/readyz`, { signal: AbortSignal.timeout(PROBE_MS) });
    const text = (await response.text()).trim();
    return response.ok ? undefined : text;
  } catch {
    return 'it does not answer';
  }
}
