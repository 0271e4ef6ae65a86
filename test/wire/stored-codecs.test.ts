import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { describe, expect, test } from 'vitest';
import type { Command, StampedCommand } from '../../src/model/command.ts';
import type { TableName, Tables } from '../../src/model/state-store.ts';
import { decodeJournalEntry, encodeJournalEntry } from '../../src/wire/codec/command.ts';
import { decodeBlock, encodeBlock } from '../../src/wire/codec/log-record.ts';
import { decodeApplied, decodeRow, encodeApplied, encodeRow } from '../../src/wire/codec/state.ts';
import { entries } from '../contract/log-store.contract.ts';
import { inode } from '../contract/state-store.contract.ts';

const COMMANDS: readonly Command[] = [
  { kind: 'format', clusterId: 'c', owner: 'o', group: 'g' },
  {
    kind: 'createFile',
    path: '/ä/\u{1f600}',
    mode: 0o644,
    writeType: 'THROUGH',
    blockSizeBytes: 2 ** 40,
    recursive: true,
    overwrite: false,
    empty: false,
    ufsVersion: '',
  },
  { kind: 'completeFile', path: '/a', id: 2 ** 52, lengthBytes: 5, ufsVersion: 'e', ufsModifiedMs: -1 },
  { kind: 'makeDirectory', path: '/a', mode: 0, recursive: false, allowExists: true, persisted: true },
  { kind: 'delete', path: '/a', recursive: true, keepUfs: false, id: 0 },
  { kind: 'rename', source: '/a', target: '/b', overwrite: true, ufsVersion: '' },
  { kind: 'setAttributes', path: '/a' },
  { kind: 'setAttributes', path: '/a', mode: 0, owner: '', group: 'g', modifiedMs: 1, accessedMs: 2, pinned: false },
  { kind: 'setAttributes', path: '/a', ttlMs: -1, ttlAction: 'delete' },
  { kind: 'mount', path: '/m', uri: 's3://b', options: { 'a.b': 'c' }, readOnly: false, syncIntervalMs: -1 },
  { kind: 'unmount', path: '/m' },
  {
    kind: 'loadMetadata',
    directoryId: 9,
    upserts: [
      { name: 'a', kind: 'file', lengthBytes: 1, version: 'v', modifiedMs: 1.5 },
      { name: 'b', kind: 'directory', lengthBytes: 0, version: '', modifiedMs: 0, owner: 'o', group: 'g', mode: 7 },
    ],
    removals: [{ name: 'c', id: 3 }],
    complete: true,
    blockSizeBytes: 1,
  },
  { kind: 'purge', entries: [{ parentId: 1, name: 'a' }] },
  { kind: 'registerWorker', worker: { id: 'w', address: 'h:1', host: 'h', capacityBytes: 5e12 } },
  { kind: 'setWorkerState', id: 'w', state: 'lost' },
  { kind: 'expireSessions', clients: ['a', 'b'], idleSinceMs: 5 },
  { kind: 'takeDigest' },
  { kind: 'judgeDigests', index: 2 ** 40, digest: 'ab12', differing: ['m2'] },
];

const packr = new Packr({ useRecords: false });
const toBytes = (value: unknown): Uint8Array => packr.pack(value);

const stamp = (command: Command): StampedCommand => ({
  atMs: 1_800_000_000_123,
  principal: { user: 'u', groups: ['g'], superuser: false },
  requestId: { client: 'c', sequence: 7, acknowledgedBelow: 6 },
  command,
});

describe('journal entries', () => {
  test.each(COMMANDS.map((command) => [command.kind, command] as const))('%s', (_, command) => {
    const said = { kind: 'command', stamped: stamp(command) } as const;
    expect(decodeJournalEntry(encodeJournalEntry(said))).toStrictEqual(said);
  });

  test('without a request, and the note of the compaction', () => {
    const { requestId: _, ...bare } = stamp({ kind: 'unmount', path: '/' });
    for (const said of [{ kind: 'command', stamped: bare } as const, { kind: 'heldByAll', index: 2 ** 40 } as const])
      expect(decodeJournalEntry(encodeJournalEntry(said))).toStrictEqual(said);
  });

  test('undefined fields and foreign ones do not travel', () => {
    const loose = { kind: 'unmount', path: '/', other: 1 } as Command;
    const decoded = decodeJournalEntry(encodeJournalEntry({ kind: 'command', stamped: stamp(loose) }));
    expect(decoded).toStrictEqual({ kind: 'command', stamped: stamp({ kind: 'unmount', path: '/' }) });
  });

  test.each([
    ['another format', toBytes([2, []]), 'UNSUPPORTED'],
    ['another kind of entry', toBytes([1, [9, []]]), 'UNSUPPORTED'],
    ['another kind of command', toBytes([1, [1, [[1, ['u', [], true], null, [99, []]]]]]), 'UNSUPPORTED'],
    ['more fields than known', toBytes([1, [2, [1, 2]]]), 'UNSUPPORTED'],
    ['a missing field', toBytes([1, [2, []]]), 'CORRUPT'],
    ['a field of another type', toBytes([1, [2, ['x']]]), 'CORRUPT'],
    ['no record at all', new Uint8Array([0xc1]), 'CORRUPT'],
    ['nothing', new Uint8Array(0), 'CORRUPT'],
  ])('refuses %s', (_, bytes, code) => {
    expect(() => decodeJournalEntry(bytes)).toThrow(expect.objectContaining({ code }));
  });
});

const mount = {
  id: 1,
  path: '/m',
  inodeId: 3,
  uri: 's3://b',
  options: { k: 'v' },
  readOnly: true,
  syncIntervalMs: 0,
  mountedMs: 4,
} as const;

const directory = {
  ...inode(4),
  kind: 'directory',
  childCount: 2,
  childrenLoaded: false,
  mountPoint: true,
  mountsBelow: 1,
} as Tables['inode'];

describe('rows', () => {
  const {
    lengthBytes: _l,
    blockSizeBytes: _b,
    complete: _c,
    writeType: _w,
    version: _v,
    ...plain
  } = directory as unknown as Record<string, unknown>;
  const rows: readonly (readonly [TableName, Tables[TableName]])[] = [
    ['inode', inode(7)],
    ['inode', plain as unknown as Tables['inode']],
    ['place', { parentId: 1, name: 'a' }],
    ['mount', mount],
    ['session', { client: 'c', acknowledgedBelow: 1, lastSequence: 2, lastSeenMs: 3 }],
    ['reply', { outcome: { kind: 'done' } }],
    ['reply', { outcome: { kind: 'inode', path: '/a', inode: inode(1), mountId: 2, ufsPath: 'x' } }],
    ['reply', { outcome: { kind: 'mount', mount } }],
    ['reply', { outcome: { kind: 'refused', refusal: { code: 'NOT_FOUND', message: 'm' } } }],
    ['reply', { outcome: { kind: 'refused', refusal: { code: 'STALE', message: 'm', details: { a: 1, b: true } } } }],
    ['worker', { id: 'w', address: 'a', host: 'h', capacityBytes: 1, state: 'live', registeredMs: 2 }],
    ['trash', { id: 5 }],
    ['mountIndex', { mounts: [{ id: 1, path: '/m', uri: 'u', endpoint: '' }] }],
    ['cluster', { clusterId: 'c', formattedMs: 1 }],
    ['cluster', { clusterId: 'c', formattedMs: 1, epoch: 2, skippedIds: [{ from: 7, below: 2 ** 40 }] }],
    ['counters', { nextInodeId: 1, nextMountId: 2, inodeCount: 3, logTimeMs: 4, workersVersion: 5, mountsVersion: 6 }],
  ];
  test.each(rows)('%s', (table, row) => {
    expect(decodeRow(table, encodeRow(table, row))).toStrictEqual(row);
  });

  test('every flipped bit is noticed', () => {
    const bytes = encodeRow('inode', inode(7));
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const flipped = new Uint8Array(bytes);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      expect(() => decodeRow('inode', flipped)).toThrow(/checksum/);
    }
    expect(decodeApplied(encodeApplied({ term: 2, index: 3 }))).toEqual({ term: 2, index: 3 });
  });
});

test('the chain of a log does not depend on where its blocks are cut', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1 }), (cuts) => {
      const total = cuts.reduce((sum, count) => sum + count, 0);
      const whole = encodeBlock(entries(1, total, 1), 0).after;
      let chain = 0;
      let next = 1;
      for (const count of cuts) {
        const block = encodeBlock(entries(next, next + count - 1, 1), chain);
        expect(decodeBlock(block.bytes).entries.map((entry) => entry.index)[0]).toBe(next);
        chain = block.after;
        next += count;
      }
      expect(chain).toBe(whole);
    }),
  );
});
