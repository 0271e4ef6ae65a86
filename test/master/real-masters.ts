import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { expect, vi } from 'vitest';
import { loadConfig } from '../../src/host/config/load.ts';
import { createLogger, type Logger } from '../../src/host/logger.ts';
import { Metrics } from '../../src/host/metrics.ts';
import { nodeTimers } from '../../src/host/node-timers.ts';
import { systemClock } from '../../src/host/system-clock.ts';
import { Master } from '../../src/master/master.ts';
import { journalOptions, quorumOptions, serviceOptions } from '../../src/master/options.ts';
import type { SluiceError } from '../../src/model/errors.ts';
import { LocalUfs } from '../../src/ufs/local-ufs.ts';
import { MetadataChannel } from '../../src/wire/metadata-channel.ts';
import { freePorts } from '../support/process-cluster.ts';

const logger = createLogger('silent', {});
/** What channels and masters are given. */
export const common = { clock: systemClock, timers: nodeTimers, random: { next: Math.random }, logger };
export const PATIENCE = { timeout: 20_000, interval: 20 };

interface Given {
  readonly logger?: Logger;
  readonly metrics?: Metrics;
  readonly token?: string;
  /** Interrupts a start. */
  readonly signal?: AbortSignal;
  /** Throws unless given. */
  readonly onFatal?: (error: SluiceError) => void;
}

/** Masters in this process, with real stores and connections, in a folder of their own. */
export class RealMasters {
  readonly folder = mkdtempSync(join(tmpdir(), 'sluice-masters-'));
  readonly #masters = new Map<string, Master>();
  readonly #closing: (() => Promise<void> | void)[] = [];

  /** Starts one master; closed with the others unless it is closed before. */
  async start(name: string, settings: Record<string, string>, given: Given = {}): Promise<Master> {
    const flags = {
      'master.name': name,
      'master.data': join(this.folder, name),
      'master.status.port': '0',
      ...settings,
    };
    const config = loadConfig([quorumOptions, journalOptions, serviceOptions], { flags });
    const master = await Master.start({
      quorum: config.values(quorumOptions),
      journal: config.values(journalOptions),
      service: config.values(serviceOptions),
      token: given.token ?? '',
      version: '1.2.3',
      openUfs: (uri) => new LocalUfs(uri.slice('file://'.length), logger),
      ...common,
      logger: given.logger ?? logger,
      metrics: given.metrics ?? new Metrics(),
      signal: given.signal ?? new AbortController().signal,
      onFatal:
        given.onFatal ??
        ((error) => {
          throw error;
        }),
    });
    this.#masters.set(name, master);
    this.own(() => master.close());
    return master;
  }

  channel(masters: readonly string[]): MetadataChannel {
    const made = new MetadataChannel({ masters, principal: { user: userInfo().username, groups: [] }, ...common });
    this.own(() => made.close());
    return made;
  }

  own(close: () => Promise<void> | void): void {
    this.#closing.push(close);
  }

  /** Closes one master, or everything. */
  async close(name?: string): Promise<void> {
    if (name !== undefined) return this.#masters.get(name)?.close();
    for (const close of this.#closing.splice(0).reverse()) await close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Three that are ready. */
  async startThree(given: Record<string, string> = {}, more: Given = {}): Promise<ThreeMasters> {
    const ports = await freePorts(6);
    const names = ['m1', 'm2', 'm3'];
    const addresses = names.map((_, i) => `127.0.0.1:${ports[i + 3]}`);
    const settings = {
      'master.peers': names.map((name, i) => `${name}=127.0.0.1:${ports[i]}`).join(','),
      'master.addresses': names.map((name, i) => `${name}=${addresses[i]}`).join(','),
      ...given,
    };
    const masters = await Promise.all(
      names.map((name, i) => {
        const port = { 'master.port': String(ports[i + 3]) };
        return this.start(name, { ...settings, ...port }, { metrics: processMetrics(), ...more });
      }),
    );
    await Promise.all(masters.map(ready));
    return { names, addresses, masters, settings };
  }
}

export interface ThreeMasters {
  readonly names: readonly string[];
  /** Where clients reach them. */
  readonly addresses: readonly string[];
  readonly masters: readonly Master[];
  /** What all were started with, but the port. */
  readonly settings: Readonly<Record<string, string>>;
}

export const ready = (master: Master) => vi.waitFor(() => expect(master.readiness).toEqual({ ready: true }), PATIENCE);

function processMetrics(): Metrics {
  const metrics = new Metrics();
  metrics.collectProcess();
  return metrics;
}
