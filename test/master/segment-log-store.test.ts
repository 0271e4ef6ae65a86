import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import { LevelLogStore } from '../../src/master/level-log-store.ts';
import { SegmentLogStore } from '../../src/master/segment-log-store.ts';
import type { Entry } from '../../src/raft/entry.ts';
import { entries, entry } from '../contract/log-store.contract.ts';
import { CrashFiles } from '../support/crash-files.ts';

const FOLDER = '/journal';
const opened = (files: CrashFiles, segmentBytes = 4096) => new SegmentLogStore(FOLDER, { files, segmentBytes });
/** Bytes of a frame with one entry of 8 bytes. */
const FRAME = 80;

/** Ten writes of one entry each, in the first segment. */
async function tenWrites(close: boolean): Promise<CrashFiles> {
  const files = new CrashFiles();
  const store = opened(files);
  await store.open();
  for (let i = 1; i <= 10; i += 1) await store.write({ entries: [entry(i, 1)], commit: i - 1 });
  if (close) await store.close();
  return files.reopened();
}

function changed(files: CrashFiles, change: (bytes: Buffer) => void, name = segmentOf(files)): CrashFiles {
  const bytes = files.bytesOf(name);
  change(bytes);
  return files.damaged(name, bytes);
}

function segmentOf(files: CrashFiles): string {
  return files.paths.find((path) => path.endsWith('.segment')) ?? '';
}

describe('a tail that is missing', () => {
  test('is torn when it is the last write alone', async () => {
    const files = changed(await tenWrites(false), (bytes) => bytes.fill(0, 9 * FRAME + 60, 10 * FRAME));
    expect(await opened(files).open()).toMatchObject({ last: { index: 9 }, commit: 8 });
  });

  test.each([
    [
      'the last write of a journal that was closed',
      9,
      /at entry 10, in \S+ at byte 720 \(its last 1 writes are damaged/,
    ],
    [
      'several writes of it',
      6,
      /at entry 7, in \S+ at byte 480 \(its last 4 writes are damaged or missing, 9 was comm/,
    ],
    ['all of them', 0, /at entry 1, in \S+ at byte 0 \(its last 10 writes/],
  ])('is damage when it was noted: %s', async (_, from, message) => {
    const files = changed(await tenWrites(true), (bytes) => bytes.fill(0, from * FRAME));
    await expect(opened(files).open()).rejects.toMatchObject({
      code: 'CORRUPT',
      message: expect.stringMatching(message),
      details: { index: from + 1, offset: from * FRAME, file: '0000000000000001-00000001.segment' },
    });
  });

  test('is damage when there is a later write behind it', async () => {
    const files = changed(await tenWrites(false), (bytes) => bytes.fill(0, 4 * FRAME, 8 * FRAME));
    const message = expect.stringMatching(
      /at entry 5, in \S+ at byte 320 \(the frame there is damaged, and .+ byte 640\)/,
    );
    await expect(opened(files).open()).rejects.toMatchObject({ code: 'CORRUPT', message });
  });

  test('is not seen in frames that are inside an entry', async () => {
    const other = (await tenWrites(true)).bytesOf('/journal/0000000000000001-00000001.segment');
    const files = new CrashFiles();
    const store = opened(files);
    await store.open();
    await store.write({ entries: [entry(1, 1)], commit: 0 });
    const hostile: Entry = { index: 2, term: 1, kind: 'command', bytes: Buffer.concat([Buffer.alloc(5), other]) };
    await store.write({ entries: [hostile], commit: 1 });
    const torn = files.reopened();
    const large = torn.paths.filter((path) => path.endsWith('.segment')).at(-1);
    expect(await opened(changed(torn, (bytes) => bytes.fill(0, 0, 56), large)).open()).toMatchObject({
      last: { index: 1 },
    });
  });

  test('that was cut off is not missed later, wherever its file went', async () => {
    const torn = changed(await tenWrites(false), (bytes) => bytes.fill(0, FRAME + 60, 4096));
    const emptied = changed(torn, (bytes) => {
      // The file as if its first write had been torn: the header is whole.
      bytes.fill(0, 60, 4096);
    });
    const store = opened(emptied);
    expect(await store.open()).toMatchObject({ last: { index: 0 } });
    await store.reset({ term: 4, index: 20 });
    const again = opened(emptied.reopened());
    expect(await again.open()).toMatchObject({ base: { term: 4, index: 20 }, last: { term: 4, index: 20 } });
  });
});

test('a read checks what it reads', async () => {
  const files = await tenWrites(true);
  const store = opened(files);
  await store.open();
  const file = await files.open(segmentOf(files), 'change');
  await file.write(Buffer.from([0xee]), 4 * FRAME + 70);
  expect(await store.read(1, 4, 1 << 20)).toHaveLength(4);
  await expect(store.read(3, 8, 1 << 20)).rejects.toMatchObject({
    code: 'CORRUPT',
    message: expect.stringMatching(
      /at entry 5, in 0000000000000001-00000001.segment at byte 320 \(the frame has changed/,
    ),
  });
  await store.close();
});

test('files are used again, so their number does not grow', async () => {
  const files = new CrashFiles();
  const store = opened(files, 1024);
  await store.open();
  const made = new Set<string>();
  for (let i = 1; i <= 200; i += 1) {
    await store.write({ entries: [entry(i, 1, 100)], commit: i });
    if (i % 5 === 0) await store.compact({ index: i - 3, term: 1 });
    for (const path of files.paths) made.add(path);
    expect(files.paths.length).toBeLessThanOrEqual(6);
  }
  expect([...made].filter((path) => path.endsWith('.new')).length).toBeLessThan(5);
  await store.close();
});

test('a write that is larger than a file gets one of its own', async () => {
  const files = new CrashFiles();
  const store = opened(files, 1024);
  await store.open();
  await store.write({ entries: entries(1, 2, 1), commit: 0 });
  await store.write({ entries: [entry(3, 1, 5000), entry(4, 1, 10)], commit: 2 });
  await store.write({ entries: entries(5, 6, 1), commit: 4 });
  expect((await store.read(2, 6, 1 << 20)).map(({ bytes }) => bytes.length)).toEqual([8, 5000, 10, 8, 8]);
  await store.close();
  expect(await opened(files, 1024).open()).toMatchObject({ last: { index: 6 }, commit: 4 });
});

test('reads go on while files are dropped, or say that the entries are gone', async () => {
  const files = new CrashFiles();
  const store = opened(files, 1024);
  await store.open();
  for (let i = 1; i <= 40; i += 1) await store.write({ entries: [entry(i, 1, 100)], commit: i });
  const reads = Array.from({ length: 40 }, (_, i) => store.read(i + 1, 40, 1 << 20).catch((error: unknown) => error));
  const dropped = store.compact({ index: 35, term: 1 });
  for (let i = 41; i <= 80; i += 1) await store.write({ entries: [entry(i, 2, 100)], commit: i });
  await dropped;
  for (const [i, found] of (await Promise.all(reads)).entries()) {
    if (Array.isArray(found)) expect(found.map(({ index }: Entry) => index)[0]).toBe(i + 1);
    else expect(found).toMatchObject({ code: 'NOT_FOUND' });
  }
  await store.close();
});

test('a folder that another store made is refused', async () => {
  const root = await mkdtemp(join(tmpdir(), 'sluice-kinds-'));
  try {
    const [level, segments] = [join(root, 'level'), join(root, 'segments')];
    const first = new LevelLogStore(level);
    await first.open();
    await first.close();
    const second = new SegmentLogStore(segments, { segmentBytes: 4096 });
    await second.open();
    await second.close();
    await expect(new SegmentLogStore(level).open()).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(/made with master.journal.store level, not segments: set it to level again/),
    });
    await expect(new LevelLogStore(segments).open()).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(/made with master.journal.store segments, not level: set it to segments again/),
    });
  } finally {
    await rm(root, { recursive: true, force: true });
  }
});

test('a segment that a crash left half begun is not used again when another file has become it', async () => {
  const files = new CrashFiles();
  const store = opened(files);
  await store.open();
  let last = 0;
  const grown = (bytes: number) => entry(last + 1, 1, bytes);
  for (; last < 3; last += 1) await store.write({ entries: [grown(1000)], commit: 0 });
  files.mark();
  await store.write({ entries: [grown(2000)], commit: 0 });
  const crashes = [...files.crashes(seededRandom(1))].filter(([how]) => how.startsWith('killed after step 1 '));
  expect(crashes).toHaveLength(1);
  const left = crashes[0]![1];
  expect(left.paths).toContain(`${FOLDER}/0000000000000004-00000002.segment`);

  const later = opened(left);
  expect(await later.open()).toMatchObject({ last: { index: 3 } });
  // Longer than a segment: it gets a file of its own, with that name.
  for (const bytes of [6000, 3000, 3000]) {
    await later.write({ entries: [grown(bytes)], commit: 0 });
    last += 1;
  }
  await later.close();
  const again = opened(left.reopened());
  expect(await again.open()).toMatchObject({ last: { index: 6 } });
  expect((await again.read(1, 6, 1e9)).map(({ bytes }) => bytes.length)).toEqual([1000, 1000, 1000, 6000, 3000, 3000]);
  await again.close();
});

test('a base that replaced another entry is not taken for the one before it', async () => {
  const files = new CrashFiles();
  const store = opened(files);
  await store.open();
  await store.write({ entries: entries(1, 5, 1), commit: 0 });
  await store.write({ truncateFrom: 4, entries: entries(4, 4, 2), commit: 0 });
  await store.write({ truncateFrom: 3, entries: entries(3, 3, 5), commit: 0 });
  await store.write({ entries: entries(4, 4, 6), commit: 3 });
  await store.compact({ term: 5, index: 3 });
  await store.close();
  const later = files.reopened();
  const again = opened(later);
  expect(await again.open()).toMatchObject({ base: { term: 5, index: 3 }, last: { term: 6, index: 4 } });
  await again.write({ truncateFrom: 4, entries: [], commit: 3 });
  await again.close();
  const last = { term: 5, index: 3 };
  expect(await opened(later.reopened()).open()).toMatchObject({ base: last, last });
});
