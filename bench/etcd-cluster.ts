import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { freePorts } from '../test/support/process-cluster.ts';
import { H2Caller } from './h2-load.ts';
import { percentile } from './measure.ts';

/** What a load on etcd has found; `seconds` of measuring. */
export interface PutReport {
  readonly done: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const KEYS = 10_000;
const KEY_BYTES = 16;
const MAX_SAMPLES = 4_000_000;
const START_MS = 20_000;

/** Whether the server's program is installed (Debian's package etcd-server). */
export function etcdInstalled(): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn('etcd', ['--version'], { stdio: 'ignore' });
    child.once('error', () => resolve(false));
    child.once('exit', (code) => resolve(code === 0));
  });
}

function lengthField(tag: number, bytes: Uint8Array): Buffer {
  const head: number[] = [tag];
  for (let left = bytes.length; ; left >>>= 7) {
    if (left < 128) return Buffer.concat([Buffer.from([...head, left]), bytes]);
    head.push((left & 127) | 128);
  }
}

/** The varints of a protobuf message by field, and its nested messages as bytes. */
function fieldsOf(message: Buffer): ReadonlyMap<number, bigint | Buffer> {
  const fields = new Map<number, bigint | Buffer>();
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = message.readUInt8(at);
      at += 1;
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const tag = Number(varint());
    const value = varint();
    if ((tag & 7) === 2) {
      fields.set(tag >> 3, message.subarray(at, at + Number(value)));
      at += Number(value);
    } else fields.set(tag >> 3, value);
  }
  return fields;
}

/** Three etcd members on this machine, with their data in a folder. */
export class EtcdCluster {
  readonly #members: readonly ChildProcess[];
  readonly #clients: readonly number[];
  #leader = 0;

  private constructor(members: readonly ChildProcess[], clients: readonly number[]) {
    this.#members = members;
    this.#clients = clients;
  }

  static async start(folder: string): Promise<EtcdCluster> {
    const ports = await freePorts(6);
    const names = ['e1', 'e2', 'e3'];
    const url = (port: number | undefined) => `http://127.0.0.1:${port}`;
    const initial = names.map((name, i) => `${name}=${url(ports[i])}`).join(',');
    const members = names.map((name, i) => {
      const [peer, client] = [url(ports[i]), url(ports[3 + i])];
      const log = openSync(join(folder, `${name}.log`), 'w');
      const parts = ['--name', name, '--data-dir', join(folder, name), '--log-level', 'error'];
      parts.push('--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer);
      parts.push('--listen-client-urls', client, '--advertise-client-urls', client);
      parts.push('--initial-cluster', initial, '--initial-cluster-state', 'new');
      parts.push('--initial-cluster-token', 'bench', '--quota-backend-bytes', String(8 * 2 ** 30));
      const child = spawn('etcd', parts, { stdio: ['ignore', log, log] });
      closeSync(log);
      return child;
    });
    const cluster = new EtcdCluster(members, ports.slice(3));
    try {
      await cluster.#findLeader();
    } catch (thrown) {
      await cluster.close();
      throw thrown;
    }
    return cluster;
  }

  /** Process ids, the leader's first. */
  get pids(): readonly number[] {
    const all = this.#members.map(({ pid }) => pid ?? 0);
    return [all[this.#leader] ?? 0, ...all.filter((_, i) => i !== this.#leader)];
  }

  /** Keeps `inFlight` puts of `bytes` (key and value together) on their way to the leader, over `connections`. */
  async put(inFlight: number, bytes: number, warmUpMs: number, measureMs: number): Promise<PutReport> {
    const connections = Math.min(inFlight, 8);
    const port = this.#clients[this.#leader] ?? 0;
    let fail: (error: Error) => void = () => {};
    const failure = new Promise<never>((_, reject) => {
      fail = reject;
    });
    const open = () => H2Caller.open('127.0.0.1', port, '/etcdserverpb.KV/Put', (error) => fail(error));
    const callers = await Promise.all(Array.from({ length: connections }, open));
    try {
      return await Promise.race([failure, putAll(callers, inFlight, bytes, warmUpMs, measureMs)]);
    } finally {
      for (const caller of callers) caller.close();
    }
  }

  async close(): Promise<void> {
    for (const member of this.#members) {
      if (member.exitCode !== null || member.signalCode !== null) continue;
      const ended = new Promise((resolve) => member.once('exit', resolve));
      member.kill('SIGTERM');
      await ended;
    }
  }

  async #findLeader(): Promise<void> {
    const until = performance.now() + START_MS;
    let last: unknown;
    while (performance.now() < until) {
      for (const [i, port] of this.#clients.entries()) {
        try {
          if (!(await leads(port))) continue;
          this.#leader = i;
          return;
        } catch (thrown) {
          last = thrown;
        }
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`etcd has elected nobody in ${START_MS} ms`, { cause: last });
  }
}

/** Asks a member who it is and who leads. */
async function leads(port: number): Promise<boolean> {
  let fail: (error: Error) => void = () => {};
  const failure = new Promise<never>((_, reject) => {
    fail = reject;
  });
  const caller = await H2Caller.open('127.0.0.1', port, '/etcdserverpb.Maintenance/Status', (error) => fail(error));
  try {
    const answer = new Promise<Buffer>((resolve) => caller.call(Buffer.alloc(0), resolve));
    caller.flush();
    const status = fieldsOf(await Promise.race([failure, answer]));
    const header = status.get(1);
    const [own, leader] = [Buffer.isBuffer(header) ? fieldsOf(header).get(2) : undefined, status.get(4)];
    return own !== undefined && own !== 0n && own === leader;
  } finally {
    caller.close();
  }
}

function putAll(
  callers: readonly H2Caller[],
  inFlight: number,
  bytes: number,
  warmUpMs: number,
  measureMs: number,
): Promise<PutReport> {
  const value = lengthField(0x12, Buffer.alloc(bytes - KEY_BYTES, 0x5a));
  const requests = Array.from({ length: KEYS }, (_, i) =>
    Buffer.concat([lengthField(0x0a, Buffer.from(String(i).padStart(KEY_BYTES, '0'))), value]),
  );
  const latencies = new Float64Array(MAX_SAMPLES);
  return new Promise((resolve) => {
    let from = performance.now() + warmUpMs;
    let measuring = false;
    let ending = false;
    let number = 0;
    let done = 0;
    const put = (caller: H2Caller): void => {
      const begun = performance.now();
      number += 1;
      caller.call(requests[number % KEYS] as Buffer, () => {
        const now = performance.now();
        if (ending) return;
        if (!measuring && now >= from) {
          measuring = true;
          from = now;
        } else if (measuring) {
          if (done < MAX_SAMPLES) latencies[done] = now - begun;
          done += 1;
          if (now - from >= measureMs) {
            ending = true;
            const sorted = latencies.subarray(0, Math.min(done, MAX_SAMPLES)).sort();
            const [p50Ms, p99Ms] = [percentile(sorted, 0.5), percentile(sorted, 0.99)];
            resolve({ done, seconds: (now - from) / 1000, p50Ms, p99Ms });
            return;
          }
        }
        put(caller);
      });
    };
    for (let i = 0; i < inFlight; i += 1) put(callers[i % callers.length] as H2Caller);
    for (const caller of callers) caller.flush();
  });
}
