import type { Random } from '../../src/base/random.ts';
import { randomInt } from '../../src/base/random.ts';
import { SegmentLogStore } from '../../src/master/segment-log-store.ts';
import { newSegmentMeta, writeSegmentMeta } from '../../src/master/segment-meta.ts';
import { SluiceError } from '../../src/model/errors.ts';
import type { Entry } from '../../src/raft/entry.ts';
import type { StoredLog } from '../../src/raft/log-store.ts';
import { CrashFiles } from '../support/crash-files.ts';
import { BrokenPromise } from './checker.ts';
import type { DiskDeed, SimDisk } from './disk.ts';
import { JournalImage } from './journal-image.ts';

const FOLDER = '/journal';
/** Small, so that a log has several files, and its end is noted now and then. */
const SEGMENT_BYTES = 4096;
const NOTE_EVERY = 16;
const MARK_EVERY = 256;
const START_EVERY = 8;
/** What a disk loses or misplaces at a time is no longer than this. */
const BLOCK_BYTES = 512;

const DAMAGES = ['flip', 'missing', 'misdirected', 'stale', 'staleFile', 'lostTail', 'lostFile', 'rolledBack'] as const;
export type Damage = (typeof DAMAGES)[number];

/** What the store made of a damaged disk. */
export interface Verdict {
  readonly damage: Damage;
  /** `cut`: it was taken for torn, and nobody could have known better. */
  readonly end: 'refused' | 'harmless' | 'cut';
}

/** What a store says when it is opened, and all that it then reads. */
interface Found extends Omit<StoredLog, 'runs' | 'configs'> {
  readonly entries: readonly Entry[];
}

/**
 * The bytes of a disk: the product's own store on files in memory. A disk is fast without them, so they come into being
 * only when something happens to them, by doing again whatever was done to the disk.
 */
export class JournalFiles {
  readonly #disk: SimDisk;
  readonly #deeds: DiskDeed[];
  #files: CrashFiles | undefined;
  /** Undefined after a damage, until it is opened again. */
  #store: SegmentLogStore | undefined;
  #starts = 0;
  /** The same disk, some time ago. */
  #older: CrashFiles | undefined;

  constructor(disk: SimDisk, deeds: DiskDeed[]) {
    this.#disk = disk;
    this.#deeds = deeds;
  }

  /**
   * The process or the machine dies during `write`. @returns whether the write was made
   * @throws BrokenPromise when the store then refuses, or has anything but what was there before or after the write
   */
  async tear(write: Extract<DiskDeed, { kind: 'write' }>['write'], random: Random): Promise<boolean> {
    const files = await this.#catchUp(random);
    files.mark();
    await this.#store?.write(write);
    const crashes = [...files.crashes(random)];
    const [how, torn] = crashes[randomInt(random, 0, crashes.length - 1)]!;
    this.#files = torn;
    this.#store = undefined;
    const after = this.#disk.copy();
    after.write(write);
    const found = await look(torn.reopened());
    if (found instanceof SluiceError)
      throw new BrokenPromise(`I33: what a crash tore is refused: ${found.message}, ${how}`);
    if (isSame(found, after)) return true;
    if (isSame(found, this.#disk)) return false;
    throw new BrokenPromise(`I33: neither what was before a torn write nor what should be after it, ${how}`);
  }

  /**
   * Damages what is on the disk, while nobody uses it.
   * @throws BrokenPromise when the store opens with anything but what was written
   */
  async damage(random: Random): Promise<Verdict | undefined> {
    const files = await this.#catchUp(random);
    const sound = JournalImage.of(files, FOLDER);
    const damage = DAMAGES[randomInt(random, 0, DAMAGES.length - 1)]!;
    if (sound === undefined || sound.frames.length === 0) return undefined;
    const damaged = this.#damaged(files, sound, damage, random);
    if (damaged === undefined) return undefined;
    const hit = sound.hitBy(damaged);
    this.#files = damaged;
    this.#store = undefined;
    const found = await look(damaged.reopened());
    if (found instanceof SluiceError) return { damage, end: 'refused' };
    if (isSame(found, this.#disk)) return { damage, end: 'harmless' };
    // The last frames, of which no note and no later frame tells, look torn when they are damaged.
    for (let sequence = sound.last; sequence > sound.noted && hit.has(sequence); sequence -= 1)
      if (isSame(found, sound.stateAt(sequence - 1))) return { damage, end: 'cut' };
    throw new BrokenPromise(
      `I33: damage (${damage}) is served: ${found.last.term}/${found.last.index}, ${found.commit}`,
    );
  }

  /** Does again what was done to the disk. */
  async #catchUp(random: Random): Promise<CrashFiles> {
    let files = this.#files ?? (await emptyFiles());
    const old = randomInt(random, 0, this.#deeds.length);
    for (const [i, deed] of this.#deeds.splice(0).entries()) {
      if (i === old) this.#older = files.reopened();
      // What crashes then may have left is of no interest, but is remembered until it is marked.
      if (i % MARK_EVERY === 0) files.mark();
      if (deed.kind === 'open') {
        // A start that finds everything sound reads it all and changes nothing: not every one is done again.
        this.#starts += 1;
        if (this.#store !== undefined && this.#starts % START_EVERY !== 0) continue;
        files = files.reopened();
        this.#store = storeOn(files);
        await this.#store.open();
      } else if (deed.kind === 'write') await this.#store!.write(deed.write);
      else if (deed.kind === 'compact') await this.#store!.compact(deed.upTo);
      else await this.#store!.reset(deed.base);
    }
    this.#files = files;
    return files;
  }

  #damaged(files: CrashFiles, image: JournalImage, damage: Damage, random: Random): CrashFiles | undefined {
    const { path, length } = image.place(random);
    const bytes = files.bytesOf(path);
    const at = randomInt(random, 0, Math.max(0, length - 1));
    const block = randomInt(random, 1, BLOCK_BYTES);
    const older = this.#older;
    switch (damage) {
      case 'flip':
        bytes[at]! ^= 1 << randomInt(random, 0, 7);
        break;
      case 'missing':
        bytes.fill(0, at, Math.min(at + block, bytes.length));
        break;
      case 'misdirected': {
        const from = image.place(random);
        const start = randomInt(random, 0, Math.max(0, from.length - 1));
        files
          .bytesOf(from.path)
          .subarray(start, start + block)
          .copy(bytes, at);
        break;
      }
      case 'stale':
        older
          ?.bytesOf(path)
          .subarray(at, at + block)
          .copy(bytes, at);
        break;
      case 'staleFile':
        return older?.paths.includes(path) ? files.damaged(path, older.bytesOf(path)) : undefined;
      case 'lostTail':
        if (random.next() < 0.5) return files.damaged(path, bytes.subarray(0, at));
        bytes.fill(0, at);
        break;
      case 'lostFile':
        return files.damaged(path, undefined);
      case 'rolledBack':
        // All but the meta files, which say what was noted; of a disk that is older as a whole nobody knows.
        return image.segments
          .filter((segment) => older?.paths.includes(segment))
          .reduce((rolled, segment) => rolled.damaged(segment, older!.bytesOf(segment)), files.reopened());
    }
    return files.damaged(path, bytes);
  }
}

async function emptyFiles(): Promise<CrashFiles> {
  const files = new CrashFiles();
  // The salt is drawn at random otherwise, and how long it is would decide what else happens.
  await writeSegmentMeta(files, FOLDER, { ...newSegmentMeta(), salt: 0x51a1ce });
  await files.syncFolder();
  return files;
}

function storeOn(files: CrashFiles): SegmentLogStore {
  return new SegmentLogStore(FOLDER, { files, segmentBytes: SEGMENT_BYTES, noteEvery: NOTE_EVERY });
}

/** What a store finds in these files, or why it refuses them. */
async function look(files: CrashFiles): Promise<Found | SluiceError> {
  try {
    const store = storeOn(files);
    const { ballot, base, last, commit } = await store.open();
    const entries =
      last.index > base.index ? await store.read(base.index + 1, last.index, Number.MAX_SAFE_INTEGER) : [];
    return { ballot, base, last, commit, entries };
  } catch (thrown) {
    if (thrown instanceof SluiceError && thrown.code === 'CORRUPT') return thrown;
    throw thrown;
  }
}

function isSame(found: Found, { ballot, base, commit, entries }: Omit<Found, 'last'>): boolean {
  return (
    found.ballot.term === ballot.term &&
    found.ballot.votedFor === ballot.votedFor &&
    found.base.index === base.index &&
    found.base.term === base.term &&
    found.commit === commit &&
    found.entries.length === entries.length &&
    found.entries.every(({ term, index, kind, bytes }, i) => {
      const entry = entries[i]!;
      const same = term === entry.term && index === entry.index && kind === entry.kind;
      return same && Buffer.compare(bytes, entry.bytes) === 0;
    })
  );
}
