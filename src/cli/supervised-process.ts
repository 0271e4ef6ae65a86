import { type ChildProcess, spawn } from 'node:child_process';
import { open } from 'node:fs/promises';
import type { Clock, Timers } from '../base/clock.ts';
import { delay } from './delay.ts';

export interface SupervisedProcessOptions {
  readonly name: string;
  /** Module and arguments, for this interpreter. */
  readonly command: readonly string[];
  /** File that its output is appended to. */
  readonly logPath: string;
  readonly clock: Clock;
  readonly timers: Timers;
  /** Called when it ended without being told to, with what is done about it. */
  onEnd(message: string): void;
}

const BACKOFF_FIRST_MS = 500;
const BACKOFF_MAX_MS = 15_000;
/** Who ran so long is not taken for broken when it ends. */
const HEALTHY_MS = 30_000;
/** A process that does not stop on SIGTERM is killed after this long. */
const STOP_MS = 15_000;

/**
 * One child process that is started again, with growing pauses, whenever it ends. It has its own process group, so that
 * Ctrl-C reaches only the parent, and a channel to the parent whose end tells it to stop, however the parent ended.
 */
export class SupervisedProcess {
  readonly name: string;
  readonly #options: SupervisedProcessOptions;
  readonly #stop = new AbortController();
  #child: ChildProcess | undefined;
  #running: Promise<void> | undefined;

  constructor(options: SupervisedProcessOptions) {
    this.name = options.name;
    this.#options = options;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Ends the process and waits until it is gone. */
  async stop(): Promise<void> {
    this.#stop.abort();
    const child = this.#child;
    child?.kill('SIGTERM');
    const cancel = this.#options.timers.after(STOP_MS, () => child?.kill('SIGKILL'));
    await this.#running;
    cancel();
  }

  async #run(): Promise<void> {
    const { clock, timers, onEnd, logPath } = this.#options;
    const { signal } = this.#stop;
    for (let failures = 0; !signal.aborted; ) {
      const startedMs = clock.monotonicMs();
      const how = await this.#once().catch((thrown: unknown) => `could not be started: ${String(thrown)}`);
      if (signal.aborted) return;
      failures = clock.monotonicMs() - startedMs >= HEALTHY_MS ? 0 : failures;
      const pauseMs = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** failures);
      failures += 1;
      onEnd(`${this.name} ${how}; it is started again in ${pauseMs / 1000} s, see ${logPath}`);
      await delay(timers, pauseMs, signal);
    }
  }

  /** Starts the process. @returns how it ended. */
  async #once(): Promise<string> {
    const log = await open(this.#options.logPath, 'a');
    try {
      if (this.#stop.signal.aborted) return 'was not started';
      return await new Promise((resolve, reject) => {
        const child = spawn(process.execPath, [...process.execArgv, ...this.#options.command], {
          stdio: ['ignore', log.fd, log.fd, 'ipc'],
          detached: true,
        });
        this.#child = child;
        child.once('error', reject);
        child.once('exit', (code, signal) => {
          resolve(signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`);
        });
      });
    } finally {
      this.#child = undefined;
      await log.close();
    }
  }
}
