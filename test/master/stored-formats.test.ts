import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { crc32, gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { Metrics } from '../../src/host/metrics.ts';
import { nodeTimers } from '../../src/host/node-timers.ts';
import { systemClock } from '../../src/host/system-clock.ts';
import { restoreBackup } from '../../src/master/backup-restore.ts';
import { writeBackup } from '../../src/master/backup-write.ts';
import { JOURNAL_STORES, type JournalStoreKind } from '../../src/master/journal-store-kind.ts';
import { LevelStateStore } from '../../src/master/level-state-store.ts';
import { newLogStore } from '../../src/master/new-log-store.ts';
import { SnapshotMetrics } from '../../src/master/snapshot-metrics.ts';
import { SnapshotSource } from '../../src/master/snapshot-source.ts';
import { checkStatePosition } from '../../src/master/state-position.ts';
import { apply } from '../../src/model/apply.ts';
import type { Command, StampedCommand } from '../../src/model/command.ts';
import { TABLE_NAMES } from '../../src/model/state-store.ts';
import type { Entry } from '../../src/raft/entry.ts';
import { membershipOf } from '../../src/raft/membership.ts';
import { encodeMembership } from '../../src/raft/membership-codec.ts';
import type { Message } from '../../src/raft/message.ts';
import { decodeJournalEntry, encodeJournalEntry } from '../../src/wire/codec/command.ts';
import { decodeBlock, encodeBlock } from '../../src/wire/codec/log-record.ts';
import { decodeRaftFrames, encodeRaftFrames } from '../../src/wire/codec/raft-frame.ts';
import { decodeFrameHeader, encodeFrame, frameBytes } from '../../src/wire/codec/segment-record.ts';
import { ROOT_CALLER } from '../support/local-state.ts';

/*
 * What this version has written must stay readable for every later one. REWRITE=1 makes the files anew: only for a
 * format that no release has written.
 */
const FIXTURES = fileURLToPath(new URL('../fixtures/', import.meta.url));
const REWRITE = process.env['REWRITE'] !== undefined;
const root = mkdtempSync(join(tmpdir(), 'sluice-formats-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const TERM = 2;
const SALT = 77;
const VOTERS = ['m1@0123456789ab', 'm2@0123456789ab'];
const never = new AbortController().signal;

const COMMANDS: readonly Command[] = [
  { kind: 'format', clusterId: 'c', owner: 'root', group: 'root' },
  { kind: 'makeDirectory', path: '/ä', mode: 0o750, recursive: false, allowExists: false, persisted: false },
  {
    kind: 'createFile',
    path: '/ä/f',
    mode: 0o644,
    writeType: 'MUST_CACHE',
    blockSizeBytes: 2 ** 26,
    recursive: false,
    overwrite: false,
    empty: true,
    ufsVersion: '',
  },
  { kind: 'setAttributes', path: '/ä/f', ttlMs: 5000, ttlAction: 'delete', pinned: true },
  { kind: 'mount', path: '/m', uri: 's3://b', options: { 'a.b': 'c' }, readOnly: true, syncIntervalMs: -1 },
  { kind: 'registerWorker', worker: { id: 'w', address: 'h:1', host: 'h', capacityBytes: 5e12 } },
  { kind: 'delete', path: '/missing', recursive: false, keepUfs: false, id: 0 },
];

const STAMPED: readonly StampedCommand[] = COMMANDS.map((command, index) => ({
  atMs: 1_800_000_000_000 + index,
  principal: ROOT_CALLER,
  requestId: { client: 'c0ffee00-1', sequence: index + 1, acknowledgedBelow: 1 },
  command,
}));

const ENTRIES: readonly Entry[] = [
  { index: 1, term: 1, kind: 'noop', bytes: new Uint8Array(0) },
  { index: 2, term: 1, kind: 'config', bytes: encodeMembership(membershipOf(VOTERS)) },
  ...STAMPED.map((stamped, at): Entry => {
    return { index: at + 3, term: TERM, kind: 'command', bytes: encodeJournalEntry({ kind: 'command', stamped }) };
  }),
];
const LAST = { term: TERM, index: ENTRIES.length };

const plain = (entries: readonly Entry[]) =>
  entries.map((one) => ({ ...one, bytes: Buffer.from(one.bytes).toString('hex') }));

function openState(folder: string): Promise<LevelStateStore> {
  const onFatal = (error: Error): never => {
    throw error;
  };
  return LevelStateStore.open({ folder: join(folder, 'state'), cacheBytes: 1 << 20, timers: nodeTimers, onFatal });
}

const openLog = (folder: string, store: JournalStoreKind) => newLogStore(folder, { store, segmentSize: 1 << 16 });

/** Every row, by table; what later versions add to rows is not theirs. */
async function rowsOf(state: LevelStateStore): Promise<Record<string, unknown>> {
  const range = { prefix: '', after: '', limit: 1000 };
  const tables = TABLE_NAMES.map(async (table) => [table, await state.scan(table, range)] as const);
  return JSON.parse(JSON.stringify(Object.fromEntries(await Promise.all(tables)))) as Record<string, unknown>;
}

/** Makes a folder as a master that has applied all entries leaves it. @returns its rows */
async function makeFolder(folder: string, store: JournalStoreKind): Promise<Record<string, unknown>> {
  mkdirSync(folder);
  const log = openLog(folder, store);
  await log.open();
  await log.write({ ballot: { term: TERM, votedFor: VOTERS[0] as string }, entries: ENTRIES.slice(0, 2), commit: 0 });
  await log.write({ entries: ENTRIES.slice(2), commit: LAST.index });
  await log.close();
  const state = await openState(folder);
  for (const { index, term, kind } of ENTRIES) {
    const stamped = STAMPED[index - 3];
    if (kind === 'command' && stamped !== undefined) apply(state, stamped);
    state.finishEntry({ term, index });
  }
  const rows = await rowsOf(state);
  await state.close();
  return rows;
}

/** A folder, or a part of one, as one small file. */
function packed(folder: string): Record<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = files
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !/\/LO(G|G\.old|CK)$/.test(path));
  return Object.fromEntries(
    paths.map((path) => [path.slice(folder.length + 1), readFileSync(path).toString('base64')]),
  );
}

function unpack(folder: string, files: Readonly<Record<string, string>>): void {
  for (const [path, bytes] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), Buffer.from(bytes, 'base64'));
  }
}

interface Kept {
  readonly files: Readonly<Record<string, string>>;
  readonly rows: Readonly<Record<string, unknown>>;
}

/** What is kept under a name. @param make what to keep from now on, when that is asked for */
async function kept(name: string, make?: () => Promise<Kept>): Promise<Kept> {
  const path = join(FIXTURES, `${name}.json.gz`);
  if (REWRITE && make !== undefined) writeFileSync(path, gzipSync(JSON.stringify(await make()), { level: 9 }));
  expect(statSync(path).size).toBeLessThan(50_000);
  return JSON.parse(gunzipSync(readFileSync(path)).toString('utf8')) as Kept;
}

describe.each(JOURNAL_STORES)('a folder of format 1 with its journal in %s', (store) => {
  test('opens with every entry and every row', async () => {
    const { files, rows } = await kept(`folder-${store}-1`, async () => {
      const made = join(root, `made-${store}`);
      return { rows: await makeFolder(made, store), files: packed(made) };
    });
    const folder = join(root, store);
    unpack(folder, files);
    const log = openLog(folder, store);
    const stored = await log.open();
    expect(stored).toMatchObject({ ballot: { term: TERM, votedFor: VOTERS[0] }, last: LAST, commit: LAST.index });
    expect(stored.configs.map(({ index }) => index)).toEqual([2]);
    const found = await log.read(1, LAST.index, 1 << 20);
    expect(plain(found)).toEqual(plain(ENTRIES));
    expect(found.slice(2).map(({ bytes }) => decodeJournalEntry(bytes))).toEqual(
      STAMPED.map((stamped) => ({ kind: 'command', stamped })),
    );
    await log.close();
    const state = await openState(folder);
    expect(await rowsOf(state)).toMatchObject(rows);
    checkStatePosition(folder, state.applied, stored);
    await state.close();
  });
});

/** Restores a backup as `m1` of a new cluster. */
async function restore(path: string, folder: string): Promise<void> {
  await restoreBackup({
    path,
    folder,
    place: {
      cluster: 'sluice',
      name: 'm1',
      address: 'm1.example:19200',
      clientAddress: '',
      others: new Map<string, string>(),
      listed: true,
      shared: false,
      clientAddressOf: () => '',
    },
    signal: never,
    newLog: (at) => openLog(at, 'level'),
    progress: () => undefined,
  });
}

test('a backup of format 1 is restored with every row', async () => {
  const { files, rows } = await kept('backup-1', async () => {
    const made = join(root, 'made-backup');
    mkdirSync(join(made, 'out'), { recursive: true });
    const whole = await makeFolder(join(made, 'master'), 'level');
    const state = await openState(join(made, 'master'));
    const source = new SnapshotSource({
      clock: systemClock,
      timers: nodeTimers,
      metrics: new SnapshotMetrics(new Metrics()),
      view: () => state.view(),
      describe: ({ position }) => ({
        meta: { position, term: TERM, membership: membershipOf(VOTERS) },
        clusterId: 'c',
        expectedRows: 1,
      }),
      barrier: () => Promise.resolve(),
      pin: () => () => undefined,
    });
    const path = join(made, 'out', 'backup.tar');
    await writeBackup({ source, path, timers: nodeTimers, signal: never, progress: () => undefined });
    await source.stop();
    await state.close();
    return { rows: whole, files: packed(join(made, 'out')) };
  });
  unpack(root, files);
  const folder = join(root, 'restored');
  await restore(join(root, 'backup.tar'), folder);
  const state = await openState(folder);
  // These tell of the new cluster.
  const { cluster: _, counters: __, ...same } = rows;
  expect(await rowsOf(state)).toMatchObject(same);
  await state.close();
});

const MESSAGES: readonly Message[] = [
  { kind: 'preVote', term: 3, last: LAST },
  { kind: 'preVoteReply', term: 3, granted: true, commit: 4 },
  { kind: 'vote', term: 3, last: LAST, transfer: true },
  { kind: 'voteReply', term: 3, granted: false, commit: 2 ** 40 },
  {
    kind: 'append',
    term: 3,
    previous: { term: 1, index: 1 },
    last: 3,
    entries: ENTRIES.slice(1, 3),
    commit: 1,
    readPosition: 7,
  },
  { kind: 'appendReply', term: 3, match: 5, readPosition: 7 },
  { kind: 'appendReject', term: 3, rejected: 5, hint: LAST, readPosition: 7 },
  { kind: 'heartbeat', term: 3, commit: 5, readPosition: 7 },
  { kind: 'heartbeatReply', term: 3, readPosition: 7 },
  { kind: 'snapshotOffer', term: 3, base: LAST, readPosition: 7 },
  { kind: 'readIndex', term: 3, token: 8 },
  { kind: 'readIndexReply', term: 3, token: 8, index: 9, ok: true },
  { kind: 'timeoutNow', term: 3 },
];

test('frames between masters are those of format 1, so that masters can be replaced one by one', () => {
  const path = join(FIXTURES, 'raft-frames-1.hex');
  const shown = MESSAGES.map((message) => encodeRaftFrames([message]).toString('hex'));
  if (REWRITE) writeFileSync(path, `${shown.join('\n')}\n`);
  const before = readFileSync(path, 'utf8').trimEnd().split('\n');
  expect(shown).toEqual(before);
  const read = before.flatMap((hex) => decodeRaftFrames(Buffer.from(hex, 'hex')));
  const comparable = (message: Message) =>
    message.kind === 'append' ? { ...message, entries: plain(message.entries) } : message;
  expect(read.map(comparable)).toEqual(MESSAGES.map(comparable));
});

describe('what a newer version wrote is refused with both formats', () => {
  const refused = { code: 'UNSUPPORTED', message: expect.stringMatching(/has format 2, this version knows 1/) };

  test('a record of the journal', () => {
    const bytes = Buffer.from(encodeBlock(ENTRIES, 0).bytes);
    bytes.writeUInt8(2, 0);
    bytes.writeUInt32BE(crc32(bytes.subarray(0, 19)), 19);
    expect(() => decodeBlock(bytes)).toThrow(expect.objectContaining(refused));
  });

  test('a frame of a segment file', () => {
    const ballot = { term: 1, votedFor: undefined };
    const content = { sequence: 1, first: 1, ballot, commit: 0, before: 0, entries: [] };
    const bytes = Buffer.alloc(frameBytes(content));
    encodeFrame(content, SALT, bytes);
    bytes.writeUInt8(2, 14);
    bytes.writeUInt32BE(crc32(bytes.subarray(0, 52), SALT), 52);
    expect(() => decodeFrameHeader(bytes, 0, SALT)).toThrow(expect.objectContaining(refused));
  });

  test('a backup', async () => {
    const { files } = await kept('backup-1');
    const tar = Buffer.from(files['backup.tar'] ?? '', 'base64');
    const at = tar.indexOf('"format": 1');
    expect(at).toBeGreaterThan(0);
    tar.write('"format": 2', at);
    const newer = { 'newer/backup.tar': tar.toString('base64') };
    unpack(root, newer);
    await expect(restore(join(root, 'newer', 'backup.tar'), join(root, 'newer-restored'))).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringContaining('format 2'),
    });
  });
});
