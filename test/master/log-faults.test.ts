import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import { LevelLogStore } from '../../src/master/level-log-store.ts';
import { SegmentLogStore } from '../../src/master/segment-log-store.ts';
import { SluiceError } from '../../src/model/errors.ts';
import type { Entry } from '../../src/raft/entry.ts';
import type { LogStore, LogWrite } from '../../src/raft/log-store.ts';
import { entries, entry } from '../contract/log-store.contract.ts';
import { CrashFiles } from '../support/crash-files.ts';

/** What a store says and holds. */
interface Content {
  readonly ballot: unknown;
  readonly base: unknown;
  readonly last: unknown;
  readonly commit: number;
  readonly entries: readonly unknown[];
}

/** A journal whose every state is known. */
interface Journal {
  readonly folder: string;
  /** LevelDB's own log. */
  readonly file: string;
  readonly bytes: Buffer;
  /** Content after each write that the log file has, beginning with what was there before the first. */
  readonly states: readonly Content[];
  /** Size of the log file at each of `states`. */
  readonly sizes: readonly number[];
}

const root = mkdtempSync(join(tmpdir(), 'sluice-faults-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Writes of every kind: entries in one or more terms, votes alone, commits alone, truncations. */
function writes(largeBytes: number): LogWrite[] {
  const all: LogWrite[] = [{ ballot: { term: 1, votedFor: 'm1' }, entries: [], commit: 0 }];
  for (let index = 1; index <= 24; index += 3) all.push({ entries: entries(index, index + 2, 1), commit: index - 1 });
  all.push({ ballot: { term: 2, votedFor: undefined }, entries: [], commit: 22 });
  all.push({ truncateFrom: 24, entries: entries(24, 25, 2), commit: 23 });
  all.push({ entries: [{ index: 26, term: 2, kind: 'config', bytes: new Uint8Array([1, 2, 3]) }], commit: 23 });
  if (largeBytes > 0) all.push({ entries: [entry(27, 2, largeBytes)], commit: 24 });
  const next = largeBytes > 0 ? 28 : 27;
  for (let index = next; index < next + 12; index += 1) all.push({ entries: [entry(index, 3)], commit: index - 2 });
  return all;
}

/** Writes of every kind, so few that each byte of them can be tried. */
const SHORT: readonly LogWrite[] = [
  { ballot: { term: 1, votedFor: 'm1' }, entries: [], commit: 0 },
  { entries: entries(1, 2, 1), commit: 0 },
  { ballot: { term: 2, votedFor: undefined }, entries: [], commit: 1 },
  { truncateFrom: 2, entries: entries(2, 2, 2), commit: 1 },
  { entries: [{ index: 3, term: 2, kind: 'config', bytes: new Uint8Array([1, 2, 3]) }], commit: 2 },
  { entries: [entry(4, 2)], commit: 3 },
];

async function contentOf(store: LogStore): Promise<Content> {
  const { ballot, base, last, commit } = await store.open();
  const found: Entry[] = [];
  if (last.index > base.index) found.push(...(await store.read(base.index + 1, last.index, Number.MAX_SAFE_INTEGER)));
  const shown = found.map(({ index, term, kind, bytes }) => [index, term, kind, Buffer.from(bytes).toString('base64')]);
  return { ballot, base, last, commit, entries: shown };
}

async function openedContent(folder: string): Promise<Content> {
  const store = new LevelLogStore(folder);
  try {
    return await contentOf(store);
  } finally {
    await store.close();
  }
}

function logFile(folder: string): string {
  const logs = readdirSync(folder).filter((name) => name.endsWith('.log'));
  expect(logs).toHaveLength(1);
  return logs[0] ?? '';
}

interface Making {
  readonly list: readonly LogWrite[];
  /** The process ends without closing: the files are those of an open store. */
  readonly killed: boolean;
  /** Writes after which the journal is opened anew, so that they are in a table and the rest in the log. */
  readonly inTable: number;
}

async function makeJournal(name: string, { list, killed, inTable }: Making): Promise<Journal> {
  const work = join(root, `${name}-work`);
  const [states, sizes]: [Content[], number[]] = [[], []];
  let store = new LevelLogStore(work);
  await store.open();
  for (const write of list.slice(0, inTable)) await store.write(write);
  await store.close();
  store = new LevelLogStore(work);
  await store.open();
  const note = async () => {
    sizes.push(readFileSync(join(work, logFile(work))).length);
    const copy = join(root, `${name}-copy`);
    cpSync(work, copy, { recursive: true });
    states.push(await openedContent(copy));
    rmSync(copy, { recursive: true });
  };
  await note();
  for (const write of list.slice(inTable)) {
    await store.write(write);
    await note();
  }
  const folder = join(root, name);
  if (killed) cpSync(work, folder, { recursive: true });
  await store.close();
  if (!killed) cpSync(work, folder, { recursive: true });
  const file = logFile(folder);
  return { folder, file, bytes: readFileSync(join(folder, file)), states, sizes };
}

/** What opening a copy of the journal finds when its log file has these bytes. */
async function outcome(journal: Journal, bytes: Buffer): Promise<Content | SluiceError> {
  const copy = `${journal.folder}-opened`;
  cpSync(journal.folder, copy, { recursive: true });
  writeFileSync(join(copy, journal.file), bytes);
  try {
    return await openedContent(copy);
  } catch (thrown) {
    if (thrown instanceof SluiceError) return thrown;
    throw thrown;
  } finally {
    rmSync(copy, { recursive: true });
  }
}

const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
/** Places that are tried in what is too large to try all. */
const SAMPLE = 120;

/** In smaller logs every place is tried. */
const ALL_BYTES = 1000;

/** The places around the ends of all writes, and a sample of the others. */
function places({ bytes, sizes }: Journal): number[] {
  if (bytes.length <= ALL_BYTES) return Array.from(bytes.keys());
  const random = seededRandom(SEED);
  const chosen = new Set(sizes.flatMap((size) => [size - 1, size, size + 6]));
  while (chosen.size < SAMPLE) chosen.add(Math.floor(random.next() * bytes.length));
  return [...chosen].filter((at) => at >= 0 && at < bytes.length).sort((a, b) => a - b);
}

const CASES: readonly (readonly [string, Making])[] = [
  ['short and closed', { list: SHORT, killed: false, inTable: 0 }],
  ['short and killed', { list: SHORT, killed: true, inTable: 0 }],
  ['short and partly in a table', { list: SHORT, killed: true, inTable: 3 }],
  ['closed', { list: writes(0), killed: false, inTable: 0 }],
  ['killed', { list: writes(0), killed: true, inTable: 0 }],
  ['with a write over several blocks', { list: writes(70_000), killed: true, inTable: 0 }],
  ['that ends with a write over several blocks', { list: writes(70_000).slice(0, -12), killed: true, inTable: 9 }],
];

describe.each(CASES)('a journal in LevelDB, %s', (name, making) => {
  let journal: Journal;
  beforeAll(async () => {
    journal = await makeJournal(name.replaceAll(' ', '-'), making);
  });

  test('is found as it was left', async () => {
    expect(await outcome(journal, journal.bytes)).toEqual(journal.states.at(-1));
    expect(journal.sizes.at(-1)).toBe(journal.bytes.length);
  });

  test(`cut anywhere, has the writes before the cut, or is CORRUPT when it was closed (SEED=${SEED})`, async () => {
    for (const at of places(journal)) {
      const whole = journal.sizes.findLastIndex((size) => size <= at);
      const found = await outcome(journal, journal.bytes.subarray(0, at));
      if (making.killed) expect([at, found]).toEqual([at, journal.states[whole]]);
      else expect([at, found]).toMatchObject([at, { code: 'CORRUPT' }]);
    }
  });

  test(`with any byte changed, is CORRUPT, or lacks its last write when it was killed (SEED=${SEED})`, async () => {
    const random = seededRandom(SEED);
    const lastBegins = journal.sizes.at(-2) ?? 0;
    for (const at of places(journal)) {
      const bytes = Buffer.from(journal.bytes);
      bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << Math.floor(random.next() * 8)), at);
      const found = await outcome(journal, bytes);
      if (at >= lastBegins && making.killed) expect([at, found]).toEqual([at, journal.states.at(-2)]);
      else expect([at, found]).toMatchObject([at, { code: 'CORRUPT' }]);
    }
  });
});

test(`a journal in LevelDB that was closed: any file cut, changed or missing (SEED=${SEED})`, async () => {
  const work = join(root, 'files-work');
  const write = async (from: number) => {
    const store = new LevelLogStore(work);
    await store.open();
    for (let index = from; index < from + 4; index += 1)
      await store.write({ entries: [entry(index, 1)], commit: index });
    await store.close();
  };
  for (const from of [1, 5, 9]) await write(from);
  const whole = await openedContent(work);
  const random = seededRandom(SEED);
  const files = readdirSync(work).filter((name) => name !== 'LOCK' && !name.startsWith('LOG'));
  const kinds = new Set(files.map((name) => name.replace(/\d+/, 'n')));
  expect([...kinds].toSorted()).toEqual(['CURRENT', 'MANIFEST-n', 'n.ldb', 'n.log', 'noted-a', 'noted-b']);
  for (const name of files) {
    const bytes = readFileSync(join(work, name));
    const all = bytes.length <= SAMPLE / 8;
    const some = Array.from({ length: SAMPLE / 8 }, () => Math.floor(random.next() * bytes.length));
    const damages: (readonly [string, Buffer | undefined])[] = [['missing', undefined]];
    for (const at of all ? bytes.keys() : some) {
      const changed = Buffer.from(bytes);
      changed.writeUInt8(changed.readUInt8(at) ^ (1 << Math.floor(random.next() * 8)), at);
      damages.push([`cut at ${at}`, bytes.subarray(0, at)], [`changed at ${at}`, changed]);
    }
    for (const [how, damaged] of damages) {
      const copy = join(root, 'files-copy');
      cpSync(work, copy, { recursive: true });
      if (damaged === undefined) rmSync(join(copy, name));
      else writeFileSync(join(copy, name), damaged);
      const found = await openedContent(copy).catch((thrown: unknown) => thrown);
      if (!(found instanceof SluiceError)) expect([name, how, found]).toEqual([name, how, whole]);
      rmSync(copy, { recursive: true });
    }
  }
});

/** A journal in segment files, as it is and as it was before its last write. */
interface SegmentJournal {
  readonly files: CrashFiles;
  readonly content: Content;
  readonly before: Content;
}

const inSegments = (files: CrashFiles) => new SegmentLogStore('/journal', { files, segmentBytes: 1024 });

async function segmentContent(files: CrashFiles): Promise<Content | SluiceError> {
  const store = inSegments(files);
  try {
    return await contentOf(store);
  } catch (thrown) {
    if (thrown instanceof SluiceError) return thrown;
    throw thrown;
  } finally {
    await store.close();
  }
}

/** Several files, one of them used again, and the first one not needed from its beginning. */
async function makeSegments(closed: boolean): Promise<SegmentJournal> {
  const files = new CrashFiles();
  const store = inSegments(files);
  await store.open();
  const list = writes(0);
  for (const write of list.slice(0, 8)) await store.write(write);
  await store.compact({ index: 17, term: 1 });
  let before = files;
  for (const write of list.slice(8)) {
    before = files.reopened();
    await store.write(write);
  }
  const killed = files.reopened();
  await store.close();
  const kept = closed ? files : killed;
  const [content, earlier] = [await segmentContent(kept.reopened()), await segmentContent(before)];
  if (content instanceof SluiceError) throw content;
  if (earlier instanceof SluiceError) throw earlier;
  return { files: kept, content, before: earlier };
}

describe.each([
  ['closed', true],
  ['killed', false],
])('a journal in segment files, %s', (_, closed) => {
  let journal: SegmentJournal;
  beforeAll(async () => {
    journal = await makeSegments(closed);
  });

  /** What is left is the same; or, when it was not closed, as if the last write had been torn; or damage is found. */
  async function expectNoSilentLoss(what: readonly unknown[], files: CrashFiles): Promise<'same' | 'torn' | 'found'> {
    const found = await segmentContent(files);
    if (found instanceof SluiceError) {
      const message = expect.stringMatching(
        /damaged (at entry \d+, in \S+ at byte \d+ )?\(.+\): stop this master, move/,
      );
      expect([...what, found]).toMatchObject([...what, { code: 'CORRUPT', message }]);
      return 'found';
    }
    const torn = !closed && JSON.stringify(found) !== JSON.stringify(journal.content);
    expect([...what, found]).toEqual([...what, torn ? journal.before : journal.content]);
    return torn ? 'torn' : 'same';
  }

  test('has several files', () => {
    const names = journal.files.paths.map((path) => path.replace('/journal/', '').replace(/^\d+-\d+/, 'n'));
    expect(names).toEqual(['n.segment', 'n.segment', 'n.segment', 'meta-a', 'meta-b']);
    expect(journal.content).not.toEqual(journal.before);
  });

  test('cut at each byte, or without one of its files, is the same or CORRUPT', async () => {
    for (const path of journal.files.paths) {
      const bytes = journal.files.bytesOf(path);
      for (let at = 0; at < bytes.length; at += 1)
        expect(await expectNoSilentLoss([path, at], journal.files.damaged(path, bytes.subarray(0, at)))).not.toBe(
          'torn',
        );
      expect(await expectNoSilentLoss([path], journal.files.damaged(path, undefined))).not.toBe('torn');
    }
  });

  test(`with each byte changed, is the same or CORRUPT, or lacks its last write when nobody noted that (SEED=${SEED})`, async () => {
    const random = seededRandom(SEED);
    const counts = { same: 0, torn: 0, found: 0 };
    for (const path of journal.files.paths) {
      const original = journal.files.bytesOf(path);
      for (let at = 0; at < original.length; at += 1) {
        const bytes = Buffer.from(original);
        bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << Math.floor(random.next() * 8)), at);
        counts[await expectNoSilentLoss([path, at], journal.files.damaged(path, bytes))] += 1;
      }
    }
    expect(counts.found).toBeGreaterThan(1000);
    // A header, an entry's header and its bytes.
    expect(counts.torn).toBe(closed ? 0 : 56 + 11 + 8);
  });
});
