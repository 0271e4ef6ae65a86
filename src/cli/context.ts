import type { FileSystem } from '../client/file-system.ts';
import type { Config } from '../host/config/load.ts';
import { nodeTimers } from '../host/node-timers.ts';
import { systemClock } from '../host/system-clock.ts';
import type { AdminChannel } from '../wire/admin-channel.ts';
import { securityOptions } from '../wire/options.ts';
import { clientSettings, configure, type GlobalFlags } from './configuration.ts';
import { Output } from './output.ts';
import type { World } from './world.ts';

/** What a running command works with. What costs time to load or to reach is loaded when it is asked for. */
export class CommandContext {
  readonly world: World;
  readonly out: Output;
  readonly err: Output;
  readonly json: boolean;
  readonly #flags: GlobalFlags;
  #config: Config | undefined;
  #files: Promise<FileSystem> | undefined;

  constructor(world: World, flags: GlobalFlags) {
    this.world = world;
    this.out = new Output(world.stdout, world.signal);
    this.err = new Output(world.stderr, world.signal);
    this.json = flags.json === true;
    this.#flags = flags;
  }

  /** Aborted by Ctrl-C. */
  get signal(): AbortSignal {
    return this.world.signal;
  }

  /** @throws SluiceError INVALID_ARGUMENT */
  config(): Config {
    this.#config ??= configure(this.world, this.#flags);
    return this.#config;
  }

  /** The cluster's files; closed with the command. */
  files(): Promise<FileSystem> {
    this.#files ??= this.#connect();
    return this.#files;
  }

  async admin(): Promise<AdminChannel> {
    const { AdminChannel } = await import('../wire/admin-channel.ts');
    const { masters, masterTimeoutMs: timeoutMs } = clientSettings(this.world, this.config());
    const { token } = this.config().values(securityOptions);
    const random = { next: () => Math.random() };
    return new AdminChannel({ masters, token, timeoutMs, clock: systemClock, timers: nodeTimers, random });
  }

  async close(): Promise<void> {
    const files = await this.#files?.catch(() => undefined);
    await files?.close();
  }

  async #connect(): Promise<FileSystem> {
    const settings = clientSettings(this.world, this.config());
    const { token } = this.config().values(securityOptions);
    if (this.world.connect !== undefined) return this.world.connect(settings, token);
    const { FileSystem } = await import('../client/file-system.ts');
    return FileSystem.connect({ ...settings, token });
  }
}
