import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { createWriteStream, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MasterNetwork } from './master-network.ts';

const ENTRY = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const START_TIMEOUT_MS = 30_000;
/** What `sluice_master_raft_role_number` shows in a leader. */
const LEADER = 3;

/** Below what systems give to connections that go out: such a port is taken only by who asks for it. */
const PORTS = { first: 10_000, last: 30_000 };

/** Ports that were free a moment ago, none of them given out here before. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    const port = randomInt(PORTS.first, PORTS.last);
    if (given.has(port) || !(await isFree(port))) continue;
    given.add(port);
    ports.push(port);
  }
  return ports;
}

const given = new Set<number>();

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

export interface Finished {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs a command line in a process of its own, which must end by itself. */
export function runProgram(
  args: readonly string[],
  settings: Readonly<Record<string, string>> = {},
): Promise<Finished> {
  const { PATH = '', HOME = '/', USER = 'root' } = process.env;
  const env = { PATH, HOME, USER, ...asEnvironment(settings) };
  const options = { env, cwd: tmpdir(), timeout: START_TIMEOUT_MS, killSignal: 'SIGKILL' } as const;
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [ENTRY, ...args], options, (_, out, err) =>
      resolve({ code: child.exitCode, out, err }),
    );
  });
}

/** One real process of Sluice. */
export class Node {
  readonly name: string;
  readonly role: 'master' | 'worker';
  /** Where clients reach it: gRPC of a master, HTTP of a worker. */
  readonly address: string;
  /** Where /metrics and /readyz are. */
  readonly statusUrl: string;
  /** Where it keeps what it knows. */
  readonly data: string;
  readonly #environment: Record<string, string>;
  readonly #log: string;
  #child: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();

  constructor(options: {
    name: string;
    role: 'master' | 'worker';
    address: string;
    statusUrl: string;
    environment: Record<string, string>;
    log: string;
  }) {
    this.name = options.name;
    this.role = options.role;
    this.address = options.address;
    this.statusUrl = options.statusUrl;
    this.data = options.environment[`SLUICE_${options.role.toUpperCase()}_DATA`] ?? '';
    this.#environment = options.environment;
    this.#log = options.log;
  }

  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error(`${this.name} does not run`);
    return pid;
  }

  /** What its status server wants to see. */
  get #headers(): Record<string, string> {
    const token = this.#environment['SLUICE_SECURITY_TOKEN'];
    return token === undefined ? {} : { authorization: `Bearer ${token}` };
  }

  get running(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Of the last run, once it ended by itself. */
  get exitCode(): number | undefined {
    return this.#child?.exitCode ?? undefined;
  }

  /** Resolves when the process has ended. */
  ended(): Promise<void> {
    return this.#ended;
  }

  /** What the process has said so far, in all its runs. */
  said(): string {
    return readFileSync(this.#log, 'utf8');
  }

  start(): void {
    if (this.running) throw new Error(`${this.name} runs already`);
    const log = createWriteStream(this.#log, { flags: 'a' });
    const child = spawn(process.execPath, [ENTRY, this.role], {
      env: { ...baseEnvironment(), ...this.#environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stdout?.pipe(log, { end: false });
    child.stderr?.pipe(log, { end: false });
    this.#ended = new Promise((resolve) => {
      child.once('close', () => {
        log.end();
        resolve();
      });
    });
    this.#child = child;
  }

  signal(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal);
  }

  /** Ends the process with `signal` and waits until it is gone. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (this.running) this.signal(signal);
    await this.#ended;
  }

  /** Whether the process says that it can serve. */
  ready(): Promise<boolean> {
    return this.#probe('readyz');
  }

  /** Whether the process answers at all. */
  answers(): Promise<boolean> {
    return this.#probe('healthz');
  }

  async #probe(page: string): Promise<boolean> {
    try {
      const headers = this.#headers;
      const response = await fetch(`${this.statusUrl}/${page}`, { headers, signal: AbortSignal.timeout(1000) });
      await response.arrayBuffer();
      return response.ok;
    } catch {
      return false;
    }
  }

  /** The value of a metric, summed over its labels; 0 when it has none yet. */
  async metric(name: string, labels = ''): Promise<number> {
    const response = await fetch(`${this.statusUrl}/metrics`, { headers: this.#headers });
    const lines = (await response.text()).split('\n');
    const family = `# TYPE ${name.replace(/_(count|sum)$/, '')} `;
    // A name that is gone must not read as zero; a process that starts has not all of them yet.
    if (!lines.some((line) => line.startsWith(family)) && (await this.ready()))
      throw new Error(`${this.name} has no metric ${name}`);
    return lines
      .filter((line) => (line.startsWith(`${name} `) || line.startsWith(`${name}{`)) && line.includes(labels))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  }
}

/** What a command line did. */
export interface CommandResult {
  /** null when a signal ended it. */
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface ClusterOptions {
  readonly masters?: number;
  readonly workers?: number;
  /** Kept when given, otherwise a temporary one that `close` removes. */
  readonly folder?: string;
  /** Further settings by key, for all processes. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Puts proxies between the masters, and between them and everybody else. */
  readonly proxied?: boolean;
  /** What one master has of its own: another data folder, more environment. */
  masterOwn?(name: string): { readonly data?: string; readonly environment?: Readonly<Record<string, string>> };
}

/** Where a master is reached, before it runs. */
interface MasterPlace {
  readonly name: string;
  readonly address: string;
  readonly statusPort: number;
}

/** Real master and worker processes on loopback, as an operator would run them. */
export class ProcessCluster {
  readonly folder: string;
  /** Between the masters and in front of them, when it was asked for. */
  readonly network: MasterNetwork | undefined;
  readonly #options: ClusterOptions;
  #masters: readonly Node[] = [];
  #workers: readonly Node[] = [];
  #named = 0;

  private constructor(options: ClusterOptions) {
    this.#options = options;
    this.folder = options.folder ?? mkdtempSync(join(tmpdir(), 'sluice-cluster-'));
    this.network = options.proxied ? new MasterNetwork() : undefined;
    mkdirSync(this.folder, { recursive: true });
  }

  static async start(options: ClusterOptions = {}): Promise<ProcessCluster> {
    const cluster = new ProcessCluster(options);
    try {
      const places = await cluster.#places(options.masters ?? 3);
      cluster.#masters = places.map((place) => cluster.#master(place, places));
      cluster.#workers = await cluster.#newWorkers(options.workers ?? 0);
      for (const node of cluster.nodes) node.start();
      await cluster.waitUntilReady();
    } catch (error) {
      await cluster.close();
      throw error;
    }
    return cluster;
  }

  get masters(): readonly Node[] {
    return this.#masters;
  }

  get workers(): readonly Node[] {
    return this.#workers;
  }

  /**
   * Starts one more master, with an empty folder: it waits until the cluster takes it in. It knows where the others are,
   * they are told of it by whoever adds it.
   */
  async startMaster(): Promise<Node> {
    const [place] = await this.#places(1);
    if (place === undefined) throw new Error('No place for a master was made');
    const present = this.#masters.map(({ name, address }) => ({ name, address }));
    const master = this.#master(place, [...present, place]);
    this.#masters = [...this.#masters, master];
    master.start();
    return master;
  }

  /** Ends a master that the cluster has let go. */
  async endMaster(master: Node): Promise<void> {
    await master.stop('SIGTERM');
    this.#masters = this.#masters.filter((each) => each !== master);
  }

  /** Names and addresses for masters that are not there yet. */
  async #places(count: number): Promise<MasterPlace[]> {
    const ports = await freePorts(count * 2);
    const places: MasterPlace[] = [];
    for (let index = 0; index < count; index += 1) {
      this.#named += 1;
      const place = {
        name: `m${this.#named}`,
        address: `127.0.0.1:${ports[2 * index]}`,
        statusPort: ports[2 * index + 1] as number,
      };
      await this.network?.add(place.name, place.address);
      places.push(place);
    }
    return places;
  }

  /** Where clients, workers and the command line find a master. */
  #door({ name, address }: { readonly name: string; readonly address: string }): string {
    return this.network?.door(name).address ?? address;
  }

  #master(place: MasterPlace, all: readonly Pick<MasterPlace, 'name' | 'address'>[]): Node {
    const { name, address, statusPort } = place;
    const { network } = this;
    const { data, environment } = this.#options.masterOwn?.(name) ?? {};
    const peers = all.map((peer) => `${peer.name}=${network?.addressFor(name, peer.name) ?? peer.address}`);
    return new Node({
      name,
      role: 'master',
      address,
      statusUrl: `http://127.0.0.1:${statusPort}`,
      log: join(this.folder, `${name}.log`),
      environment: {
        ...this.#shared(all.map((each) => this.#door(each))),
        ...asEnvironment({
          'master.name': name,
          'master.data': data ?? join(this.folder, name),
          'master.peers': peers.join(','),
          'master.addresses': all.map((each) => `${each.name}=${this.#door(each)}`).join(','),
          'master.port': address.slice(address.lastIndexOf(':') + 1),
          'master.status.port': String(statusPort),
        }),
        ...environment,
      },
    });
  }

  async #newWorkers(count: number): Promise<Node[]> {
    const ports = await freePorts(count * 2);
    return Array.from({ length: count }, (_, index) => {
      const [data, status] = [ports[2 * index], ports[2 * index + 1]];
      return new Node({
        name: `w${index + 1}`,
        role: 'worker',
        address: `127.0.0.1:${data}`,
        statusUrl: `http://127.0.0.1:${status}`,
        log: join(this.folder, `w${index + 1}.log`),
        environment: {
          ...this.#shared(this.addresses),
          ...asEnvironment({
            'worker.data': join(this.folder, `w${index + 1}`),
            'worker.port': String(data),
            'worker.status.port': String(status),
          }),
        },
      });
    });
  }

  #shared(masters: readonly string[]): Record<string, string> {
    return asEnvironment({ ...this.#options.settings, 'client.masters': masters.join(',') });
  }

  get nodes(): readonly Node[] {
    return [...this.masters, ...this.workers];
  }

  /** Addresses of the masters, for a client. */
  get addresses(): readonly string[] {
    return this.masters.map((master) => this.#door(master));
  }

  /** The master that leads, as soon as one says so. */
  async leader(): Promise<Node> {
    const deadline = performance.now() + START_TIMEOUT_MS;
    while (performance.now() < deadline) {
      for (const master of this.masters) {
        const role = await master.metric('sluice_master_raft_role_number').catch(() => 0);
        if (role === LEADER) return master;
      }
      await pause(20);
    }
    throw new Error('No master leads');
  }

  /** Waits until every process answers that it is ready. */
  async waitUntilReady(nodes: readonly Node[] = this.nodes): Promise<void> {
    const deadline = performance.now() + START_TIMEOUT_MS;
    for (const node of nodes) {
      while (!(await node.ready())) {
        if (!node.running)
          throw new Error(`${node.name} ended at its start: see ${join(this.folder, `${node.name}.log`)}`);
        if (performance.now() > deadline) throw new Error(`${node.name} was not ready in ${START_TIMEOUT_MS} ms`);
        await pause(20);
      }
    }
  }

  /** Runs a command line as a process of its own, against this cluster. */
  command(...args: readonly string[]): Promise<CommandResult> {
    const environment = asEnvironment({ 'client.masters': this.addresses.join(',') });
    const child = spawn(process.execPath, [ENTRY, ...args], {
      cwd: this.folder,
      env: { ...baseEnvironment(), ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return new Promise((resolve, reject) => {
      const [out, err]: [Buffer[], Buffer[]] = [[], []];
      child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
      child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
      child.once('error', reject);
      child.once('close', (code) => {
        resolve({ code, out: Buffer.concat(out).toString('utf8'), err: Buffer.concat(err).toString('utf8') });
      });
    });
  }

  async close(): Promise<void> {
    for (const node of this.nodes) if (node.running) node.signal('SIGCONT');
    await Promise.all(this.nodes.map((node) => node.stop('SIGKILL')));
    await this.network?.close();
    if (this.#options.folder === undefined) rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Nothing of the settings of whoever runs the tests reaches the processes. */
function baseEnvironment(): Record<string, string> {
  const { PATH = '', HOME = '/', USER = 'root' } = process.env;
  return { PATH, HOME, USER };
}

/** A turn of a polling loop that waits for another process. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function asEnvironment(settings: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(settings).map(([key, value]) => [`SLUICE_${key.toUpperCase().replaceAll(/[.-]/g, '_')}`, value]),
  );
}
