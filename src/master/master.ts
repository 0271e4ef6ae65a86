import { randomUUID } from 'node:crypto';
import { userInfo } from 'node:os';
import { must } from '../base/assert.ts';
import type { Clock, Timers } from '../base/clock.ts';
import type { Random } from '../base/random.ts';
import type { ValuesOf } from '../host/config/option.ts';
import { DataFolder } from '../host/data-folder.ts';
import type { Logger } from '../host/logger.ts';
import type { Metrics } from '../host/metrics.ts';
import { type Closeable, opening, type Scope } from '../host/scope.ts';
import { type Readiness, StatusServer } from '../host/status-server.ts';
import { SluiceError } from '../model/errors.ts';
import type { MountRequest } from '../model/operations.ts';
import type { StateDigest } from '../model/report.ts';
import type { Ufs } from '../ufs/ufs.ts';
import { adminService } from '../wire/admin-server.ts';
import { DigestExchange } from '../wire/digest-exchange.ts';
import { GrpcServer, type GrpcService } from '../wire/grpc-server.ts';
import { MetadataServer } from '../wire/metadata-server.ts';
import { RaftTransport } from '../wire/raft-transport.ts';
import { registryService } from '../wire/registry-server.ts';
import { bindFolder, clusterIdOf } from './cluster-id.ts';
import type { Journal } from './journal.ts';
import { openJournal, parsePeers } from './journal-open.ts';
import { withWayOut } from './level-log-scan.ts';
import { parseMemberAddresses, splitAddress } from './member-addresses.ts';
import type { journalOptions, quorumOptions, serviceOptions } from './options.ts';
import { readinessOf } from './readiness.ts';
import { MasterServices } from './services.ts';

export interface MasterParts {
  readonly quorum: ValuesOf<typeof quorumOptions>;
  readonly journal: ValuesOf<typeof journalOptions>;
  readonly service: ValuesOf<typeof serviceOptions>;
  /** The cluster's secret; empty when it has none. */
  readonly token: string;
  /** Version of the program. */
  readonly version: string;
  /** @throws SluiceError for a scheme or options that are unknown */
  openUfs(uri: string, options: Readonly<Record<string, string>>): Ufs;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** The journal has stopped for ever: the process must say why and exit. Called once. */
  onFatal(error: SluiceError): void;
}

/** One master: a member of the quorum, and while it leads, the metadata service of the cluster. */
export class Master implements Closeable {
  /** Port for clients and workers. */
  readonly port: number;
  readonly statusPort: number;
  readonly clusterId: string;
  readonly #readiness: () => Readiness;
  readonly #scope: Scope;

  private constructor(
    ports: { client: number; status: number },
    clusterId: string,
    readiness: () => Readiness,
    scope: Scope,
  ) {
    this.port = ports.client;
    this.statusPort = ports.status;
    this.clusterId = clusterId;
    this.#readiness = readiness;
    this.#scope = scope;
  }

  /**
   * Opens the data folder, replays the journal, and serves.
   * @throws SluiceError when an option is wrong, the folder is in use, damaged or another's, or an address is taken
   */
  static start(parts: MasterParts): Promise<Master> {
    return opening((scope) => Master.#start(parts, scope));
  }

  static async #start(parts: MasterParts, scope: Scope): Promise<Master> {
    const { quorum, service, logger, timers, metrics } = parts;
    const peers = parsePeers(quorum.peers, quorum.name);
    const raft = splitAddress(must(peers.get(quorum.name), 'This master is among its peers'));
    /** Raft may share the port of the clients. */
    const shared = raft.port === service.port;
    const clientAddresses = parseMemberAddresses('master.addresses', service.addresses);
    const addressOf = (member: string) => clientAddresses.get(member) ?? (shared ? peers.get(member) : undefined);

    const folder = scope.own('data folder', await DataFolder.open(quorum.data, 'master'));
    const clusterId = clusterIdOf(service.cluster, [...peers.keys()]);
    await bindFolder(folder, clusterId, quorum.name);
    const transport = scope.own('raft transport', newTransport(parts, clusterId));
    const digests = new DigestExchange({ clusterId, token: parts.token, clock: parts.clock });
    let services: MasterServices | undefined;
    const betweenMasters = [transport.service, digests.service((index) => digestOf(services, index))];
    if (!shared) await serve(parts, scope, 'raft server', raft.port, betweenMasters);
    scope.onClose('raft streams', () => transport.close());
    let readiness = (): Readiness => ({ ready: false, reason: 'Opening and verifying the journal and the state' });
    const at = { host: service.host, port: service.statusPort };
    const asked = { ...at, token: parts.token, metrics, readiness: () => readiness() };
    const status = scope.own('status server', await StatusServer.open(asked));
    const journal = scope.own('journal', await startJournal(parts, folder, transport, peers));
    readiness = readinessOf(journal, service.rootUfs);
    services = scope.own('services', newServices(parts, journal, digests, clusterId, addressOf));

    const { handlers, workers, admin } = services;
    const metadata = new MetadataServer({ handlers, clock: parts.clock, timers, logger, metrics });
    const offered: GrpcService[] = [
      metadata.service,
      registryService((stream) => workers.connect(stream)),
      adminService(admin),
    ];
    if (shared) offered.push(...betweenMasters);
    const server = await serve(parts, scope, 'client server', service.port, offered);
    // These end the streams that the server would wait for.
    scope.onClose('worker streams', () => workers.close());
    scope.onClose('client sessions', () => metadata.close());
    if (shared) scope.onClose('raft streams', () => transport.close());
    // First of all, because it needs the streams to the other masters, and clients are told meanwhile whom to ask.
    scope.onClose('leadership', () => journal.handOver());
    const fields = { name: quorum.name, clusterId, address: server.address, port: server.port, folder: folder.path };
    logger.info(fields, 'master serves');
    return new Master({ client: server.port, status: status.port }, clusterId, readiness, scope);
  }

  /** Whether this master can take part in serving clients. */
  get readiness(): Readiness {
    return this.#readiness();
  }

  /** Hands leadership over, ends the streams of clients and workers, then the services, then the journal. */
  close(): Promise<void> {
    return this.#scope.close();
  }
}

function newTransport(parts: MasterParts, clusterId: string): RaftTransport {
  const { quorum, token, timers, random, logger, metrics } = parts;
  const incarnation = randomUUID();
  return new RaftTransport({ self: quorum.name, clusterId, incarnation, token, timers, random, logger, metrics });
}

async function serve(
  parts: MasterParts,
  scope: Scope,
  name: string,
  port: number,
  services: readonly GrpcService[],
): Promise<GrpcServer> {
  const { service, token, timers } = parts;
  return scope.own(name, await GrpcServer.start({ host: service.host, port, token, services, timers }));
}

function startJournal(
  parts: MasterParts,
  folder: DataFolder,
  transport: RaftTransport,
  peers: ReadonlyMap<string, string>,
): Promise<Journal> {
  const { quorum, journal, clock, timers, random, logger, metrics } = parts;
  return openJournal({
    folder: folder.path,
    quorum,
    values: journal,
    clock,
    timers,
    random,
    logger,
    metrics,
    connect: (listener) => {
      transport.start(listener, peers);
      return transport;
    },
    onFatal: (error) => parts.onFatal(error),
  });
}

function newServices(
  parts: MasterParts,
  state: Journal,
  digests: DigestExchange,
  clusterId: string,
  addressOf: (member: string) => string | undefined,
): MasterServices {
  const { service, openUfs, version, clock, timers, logger, metrics } = parts;
  return new MasterServices({
    self: parts.quorum.name,
    state,
    view: () => state.state.view(),
    ask: (address, index) => digests.ask(address, index),
    condemn: (error) => condemn(state, error, logger),
    addressOf,
    patienceMs: parts.quorum.electionTimeout / 3,
    clusterId,
    superusers: { user: userInfo().username, group: service.supergroup },
    root: rootMount(parts),
    openUfs,
    options: service,
    version,
    clock,
    timers,
    log: logger,
    metrics,
  });
}

/** @throws SluiceError NOT_FOUND, UNAVAILABLE */
async function digestOf(services: MasterServices | undefined, index: number): Promise<StateDigest> {
  if (services === undefined) throw new SluiceError('UNAVAILABLE', 'This master is starting: ask later');
  return services.divergence.digestAt(index);
}

/** Stops this master, and lets none start with its state. */
function condemn(journal: Journal, error: SluiceError, log: Logger): void {
  journal.state.condemn(error.message).catch((err: unknown) => {
    log.error({ err }, 'that the state must not be used any more could not be noted in it');
  });
  journal.fail(SluiceError.from(withWayOut(error)));
}

/** @throws SluiceError INVALID_ARGUMENT */
function rootMount({ service }: MasterParts): Omit<MountRequest, 'path'> | undefined {
  const { rootUfs: uri, rootOptions, rootReadOnly: readOnly, rootSyncInterval: syncIntervalMs } = service;
  if (uri === '') return undefined;
  const options: Record<string, string> = {};
  for (const pair of rootOptions) {
    const at = pair.indexOf('=');
    if (at < 1) throw new SluiceError('INVALID_ARGUMENT', 'master.root.options must be key=value separated by commas');
    options[pair.slice(0, at)] = pair.slice(at + 1);
  }
  return { uri, options, readOnly, syncIntervalMs };
}
