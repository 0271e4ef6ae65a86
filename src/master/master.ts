import { randomUUID } from 'node:crypto';
import { userInfo } from 'node:os';
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
import { membershipOf } from '../raft/membership.ts';
import type { Ufs } from '../ufs/ufs.ts';
import { adminService } from '../wire/admin-server.ts';
import { comparisonService } from '../wire/comparison-service.ts';
import { DigestExchange } from '../wire/digest-exchange.ts';
import type { Greeting } from '../wire/greeting.ts';
import { GrpcServer, type GrpcService } from '../wire/grpc-server.ts';
import { helloService, sayHello } from '../wire/hello.ts';
import { MasterDirectory } from '../wire/master-directory.ts';
import { membershipService } from '../wire/membership-server.ts';
import { MetadataServer } from '../wire/metadata-server.ts';
import { RaftTransport, type RaftTransportOptions } from '../wire/raft-transport.ts';
import { registryService } from '../wire/registry-server.ts';
import { SnapshotChannel } from '../wire/snapshot-channel.ts';
import { snapshotService } from '../wire/snapshot-server.ts';
import { startingService } from '../wire/starting-service.ts';
import type { AwaitedBirth } from './await-birth.ts';
import { type BornBinding, writeBinding } from './folder-binding.ts';
import type { Journal } from './journal.ts';
import { openJournal, raftLimits } from './journal-open.ts';
import { addressesIn, clientAddressesIn, clientAddressIn } from './journal-quorum.ts';
import { handOver } from './leadership-transfer.ts';
import { withWayOut } from './level-log-scan.ts';
import { Lookout } from './lookout.ts';
import { masterPlace } from './master-place.ts';
import { splitAddress } from './member-addresses.ts';
import { removedError } from './member-folder.ts';
import { greetingOf } from './member-greeting.ts';
import { MemberPlaces } from './member-places.ts';
import type { journalOptions, quorumOptions, serviceOptions } from './options.ts';
import { MasterReadiness } from './readiness.ts';
import { MasterServices } from './services.ts';
import { settleMember } from './settle-member.ts';
import { TimingCheck, timingOf } from './timing-check.ts';

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
  /** Interrupts a start that waits for other masters. */
  readonly signal: AbortSignal;
  /** The journal has stopped for ever: the process must say why and exit. Called once. */
  onFatal(error: SluiceError): void;
}

/** How long another master may take to say who it is. */
const HELLO_MS = 2_000;

/** What a master says of itself while it starts. */
interface Rising {
  readiness: () => Readiness;
  hello: ((sender: Greeting) => Greeting) | undefined;
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
    const { quorum, service, logger, timers, metrics, token } = parts;
    const place = masterPlace(quorum, service);
    const folder = scope.own('data folder', await DataFolder.open(quorum.data, 'master'));
    const rising: Rising = { readiness: () => ({ ready: false, reason: 'This master is starting' }), hello: undefined };
    const at = { host: service.host, port: service.statusPort };
    const readiness = () => rising.readiness();
    const status = scope.own('status server', await StatusServer.open({ ...at, token, metrics, readiness }));
    const raftServer = await serveFirst(parts, scope, splitAddress(place.address).port, rising);
    const begins = (birth: AwaitedBirth): void => {
      rising.hello = (sender) => birth.answer(sender);
      rising.readiness = () => ({ ready: false, reason: birth.reason });
    };
    const member = await settleMember({ ...parts, folder, place, begins });
    const { clusterId } = member;
    const met = (id: string, address: string, name: string) => places.met(id, address, name);
    const transport = scope.own('raft transport', newTransport(parts, member, place.address, met));
    const digests = new DigestExchange({ clusterId, token, clock: parts.clock });
    let opened: { readonly journal: Journal; readonly services: MasterServices } | undefined;
    const betweenMasters = [transport.service, digests.service((index) => digestOf(opened?.services, index))];
    const snapshots = snapshotService(() => opened?.journal.snapshots, clusterId);
    const timing = timingOf(quorum);
    const timingCheck = new TimingCheck(timing, clusterId, logger);
    const connected = (id: string) => transport.connected(id);
    const places = new MemberPlaces({ id: member.id, clusterId, address: place.address, log: logger, connected });
    rising.hello = (sender) => {
      timingCheck.compare(sender);
      places.claim(sender);
      return greetingOf(member, place, timing, opened?.journal);
    };
    raftServer.offer([...betweenMasters, snapshots]);
    scope.onClose('raft streams', () => transport.close());
    rising.readiness = () => ({ ready: false, reason: 'Opening and verifying the journal and the state' });
    const masters = new MasterDirectory();
    const changed = () => masters.change(clientAddressesIn(journal.members));
    const left = () => void leave(folder, member).then((error) => journal.fail(error));
    const journal: Journal = scope.own(
      'journal',
      await startJournal(parts, folder, { transport, places }, member, { changed, left }),
    );
    changed();
    const refusals = () => transport.refusals;
    const { rootUfs } = service;
    const serving = new MasterReadiness({ journal, refusals, rootUfs, clock: parts.clock, timers });
    scope.onClose('readiness', () => serving.close());
    rising.readiness = () => serving.now;
    const greetAt = async (address: string) => {
      const said = await greet(parts, address, greetingOf(member, place, timing, journal));
      // Streams tell it of all others; this master meets itself only so.
      if (said.clusterId === clusterId && !said.removed) places.met(said.id, address, said.address);
      return said;
    };
    const services = scope.own(
      'services',
      newServices(parts, journal, { digests, clusterId, masters, places, hello: greetAt }),
    );
    opened = { journal, services };
    const addresses = () => [...new Set([...addressesIn(journal.members).values(), ...place.others.values()])];
    const around = { id: member.id, clusterId, journal, places, addresses, hello: greetAt, left };
    const lookout = new Lookout({ ...around, timers, log: logger });
    scope.onClose('lookout', () => lookout.close());
    void timingCheck.ask(addresses(), greetAt);

    const { handlers, workers, admin, membership } = services;
    const cluster = () => clusterMark(journal);
    const metadata = new MetadataServer({ handlers, masters, cluster, clock: parts.clock, timers, logger, metrics });
    const offered: GrpcService[] = [
      metadata.service,
      registryService((stream) => workers.connect(stream), masters),
      adminService(admin),
      comparisonService(services.compare),
      membershipService(membership),
      snapshots,
    ];
    if (place.shared) raftServer.offer(offered);
    const server = place.shared ? raftServer : await serve(parts, scope, 'client server', service.port, offered);
    if (place.shared) scope.onClose('client server', () => raftServer.close());
    // These end the streams that the server would wait for.
    scope.onClose('worker streams', () => workers.close());
    scope.onClose('client sessions', () => metadata.close());
    if (place.shared) scope.onClose('raft streams', () => transport.close());
    // First of all, because it needs the streams to the other masters, and clients are told meanwhile whom to ask.
    scope.onClose('leadership', () => handOver(journal, logger));
    const fields = { name: quorum.name, id: member.id, clusterId, address: server.address, port: server.port };
    logger.info({ ...fields, folder: folder.path }, 'master serves');
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

function newTransport(
  parts: MasterParts,
  { id, clusterId }: BornBinding,
  address: string,
  met: Required<RaftTransportOptions>['met'],
): RaftTransport {
  const { token, timers, random, logger, metrics } = parts;
  const incarnation = randomUUID();
  return new RaftTransport({ self: id, address, clusterId, incarnation, token, timers, random, logger, metrics, met });
}

/** Listens for other masters before it is known what this one is: nobody needs to dial in vain. */
function serveFirst(parts: MasterParts, scope: Scope, port: number, rising: Rising): Promise<GrpcServer> {
  const why = () => {
    const said = rising.readiness();
    return said.ready ? 'This master is starting' : said.reason;
  };
  const answer = (sender: Greeting): Greeting => {
    if (rising.hello === undefined) throw new SluiceError('UNAVAILABLE', why());
    return rising.hello(sender);
  };
  return serve(parts, scope, 'raft server', port, [helloService(answer), startingService(why)]);
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
  { transport, places }: { readonly transport: RaftTransport; readonly places: MemberPlaces },
  { id, birth, clusterId }: BornBinding,
  ends: MembershipEnds,
): Promise<Journal> {
  const { quorum, journal, token, clock, timers, random, logger, metrics } = parts;
  return openJournal({
    folder: folder.path,
    id,
    birth: { ...membershipOf(birth.map((member) => member.id)), members: birth },
    quorum,
    values: journal,
    clock,
    timers,
    random,
    logger,
    metrics,
    connect: (listener, addresses) => {
      transport.start(
        listener,
        places.follow(addresses, (dialled) => transport.setPeers(dialled)),
      );
      const setPeers = (peers: ReadonlyMap<string, string>): void => {
        places.membership(peers);
        ends.changed();
      };
      return { send: (to, message) => transport.send(to, message), setPeers };
    },
    link: (member) => {
      const address = transport.addressOf(member);
      if (address !== undefined) return new SnapshotChannel({ address, clusterId, token, clock });
      throw new SluiceError('UNAVAILABLE', `It is not known where master ${member} listens`);
    },
    onFatal: (error) => parts.onFatal(error),
    onRemoved: () => ends.left(),
  });
}

/** Tells this cluster, as it is since it was last restored, from all others; empty while its state is not there. */
function clusterMark({ state }: Journal): string {
  if (state.clusterId === '') return '';
  const cluster = state.get('cluster', '');
  return cluster === undefined ? '' : `${cluster.clusterId}/${cluster.epoch ?? 0}`;
}

function greet({ token, clock }: MasterParts, address: string, greeting: Greeting): Promise<Greeting> {
  return sayHello(greeting, { address, token, deadlineMs: clock.wallMs() + HELLO_MS });
}

interface MembershipEnds {
  /** Another membership is in force. */
  changed(): void;
  /** This master is no member any more. */
  left(): void;
}

interface Reach {
  readonly masters: MasterDirectory;
  readonly clusterId: string;
  readonly digests: DigestExchange;
  readonly places: MemberPlaces;
  hello(address: string): Promise<Greeting>;
}

function newServices(
  parts: MasterParts,
  state: Journal,
  { clusterId, digests, masters, places, hello }: Reach,
): MasterServices {
  const { service, openUfs, version, clock, timers, logger, metrics } = parts;
  return new MasterServices({
    self: parts.quorum.name,
    state,
    journal: state,
    limits: raftLimits(parts.quorum),
    tickMs: parts.quorum.tick,
    hello,
    moved: () => places.moved,
    masters: () => masters.addresses,
    view: () => state.state.view(),
    ask: (address, index) => digests.ask(address, index),
    stop: (error) => state.fail(withWayOut(error)),
    condemn: (error) => condemn(state, error, logger),
    addressOf: (member) => clientAddressIn(state.members, member),
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

/** Lets no master start with this folder again. @returns what ends this one */
async function leave(folder: DataFolder, member: BornBinding): Promise<SluiceError> {
  try {
    await writeBinding(folder, { ...member, state: 'removed' });
    return removedError(folder, member);
  } catch (thrown) {
    return SluiceError.from(thrown);
  }
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
  journal.fail(withWayOut(error));
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
