import type { FileSystem } from '../client/file-system.ts';
import type { Config } from '../host/config/load.ts';
import type { Logger } from '../host/logger.ts';
import { nodeTimers } from '../host/node-timers.ts';
import { systemClock } from '../host/system-clock.ts';
import type { QuorumInfo } from '../model/report.ts';
import type { AdminChannel, AdminChannelOptions } from '../wire/admin-channel.ts';
import { securityOptions } from '../wire/options.ts';
import type { SnapshotChannel } from '../wire/snapshot-channel.ts';
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

  /** Where the masters are, as far as it was said. */
  masters(): readonly string[] {
    return clientSettings(this.world, this.config()).masters;
  }

  /** @param other takes the place of what was configured */
  async admin(other: Partial<AdminChannelOptions> = {}): Promise<AdminChannel> {
    const { AdminChannel } = await import('../wire/admin-channel.ts');
    const { masters, masterTimeoutMs: timeoutMs } = clientSettings(this.world, this.config());
    const { token } = this.config().values(securityOptions);
    const parts = { clock: systemClock, timers: nodeTimers, random: { next: () => Math.random() } };
    const { signal } = this;
    return new AdminChannel({ ...parts, masters, token, timeoutMs, logger: this.#notices(), signal, ...other });
  }

  /**
   * The snapshots of a master, a standby if one answers. Whoever asks ends the link.
   * @throws SluiceError TIMED_OUT or UNAVAILABLE when no master answers
   */
  async snapshots(): Promise<{ readonly link: SnapshotChannel; readonly master: string }> {
    const [{ AdminChannel }, { SnapshotChannel }] = await Promise.all([
      import('../wire/admin-channel.ts'),
      import('../wire/snapshot-channel.ts'),
    ]);
    const { masters, masterTimeoutMs: timeoutMs } = clientSettings(this.world, this.config());
    const { token } = this.config().values(securityOptions);
    const random = { next: () => Math.random() };
    const parts = { token, timeoutMs, clock: systemClock, timers: nodeTimers, random, signal: this.signal };
    const asked = await Promise.allSettled(
      masters.map(async (address) => ({
        address,
        info: await new AdminChannel({ ...parts, masters: [address] }).quorum(),
      })),
    );
    const answered = asked.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    answered.sort((a, b) => rank(b.info) - rank(a.info) || b.info.appliedIndex - a.info.appliedIndex);
    const [best] = answered;
    if (best === undefined) throw (asked[0] as PromiseRejectedResult).reason;
    const link = new SnapshotChannel({ address: best.address, clusterId: '', token, clock: systemClock });
    return { link, master: best.info.self };
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
    return FileSystem.connect({ ...settings, token, logger: this.#notices() });
  }

  /** Shows what is worth knowing while a command goes on. */
  #notices(): Logger {
    const silent = (): void => undefined;
    const warn: Logger['warn'] = ({ err, path }, message) => {
      const reason = err instanceof Error ? err.message : undefined;
      const what = typeof path === 'string' ? `${path}: ${message}` : message;
      const text = `sluice: ${what}${reason === undefined ? '' : `: ${reason}`}`;
      const written = this.json ? this.err.json({ notice: what, reason }) : this.err.lines([text]);
      // Whoever does not read standard error misses it.
      written.catch(silent);
    };
    const logger: Logger = { debug: silent, info: silent, warn, error: silent, child: () => logger };
    return logger;
  }
}

/** Whom to ask first: a standby that hears a leader, then the leader. */
function rank({ self, leader }: QuorumInfo): number {
  if (leader === '') return 0;
  return leader === self ? 1 : 2;
}
