import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Random, randomInt } from '../../src/base/random.ts';
import { compileLibrary } from './preloaded-library.ts';

/** What a disk does: see `faulty-disk.c`. */
export type DiskTrouble = 'stall-sync' | 'stall-all' | 'fail-sync' | 'full';

/** Data folders on disks that misbehave on command, by a library that is preloaded into the processes. */
export class FaultyDisks {
  readonly #folder: string;
  readonly #library: string;

  private constructor(folder: string, library: string) {
    this.#folder = folder;
    this.#library = library;
  }

  /** Compiles the library. @param folder for it, for the control files and for the data */
  static make(folder: string): FaultyDisks {
    return new FaultyDisks(folder, compileLibrary('faulty-disk', folder));
  }

  /** What the process `name` must be started with. */
  own(name: string): { readonly data: string; readonly environment: Readonly<Record<string, string>> } {
    const data = join(this.#folder, name);
    mkdirSync(this.#undo(name), { recursive: true });
    return {
      data,
      environment: {
        LD_PRELOAD: this.#library,
        FAULTY_DISK_FOLDER: data,
        FAULTY_DISK_CONTROL: this.#control(name),
        FAULTY_DISK_UNDO: this.#undo(name),
      },
    };
  }

  set(name: string, trouble: DiskTrouble): void {
    // By renaming, so that nobody reads half a word.
    const next = `${this.#control(name)}.next`;
    writeFileSync(next, trouble);
    renameSync(next, this.#control(name));
  }

  heal(name: string): void {
    rmSync(this.#control(name), { force: true });
  }

  /**
   * Does to the files of a process that is dead what a loss of power does: of what was not synced each keeps nothing, or
   * some.
   * @returns bytes that are gone
   */
  loseUnsynced(name: string, random: Random): number {
    const undo = this.#undo(name);
    let lost = 0;
    for (const entry of readdirSync(join(this.#folder, name), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      const record = join(undo, `${statSync(path).ino}`);
      if (!existsSync(record)) continue;
      lost += undoWrites(path, readFileSync(record), random);
      if (existsSync(`${record}.entry`)) rmSync(path);
    }
    for (const record of readdirSync(undo)) rmSync(join(undo, record));
    return lost;
  }

  #undo(name: string): string {
    return join(this.#folder, `${name}.undo`);
  }

  #control(name: string): string {
    return join(this.#folder, `${name}.control`);
  }
}

/**
 * @param record what was durable, as `faulty-disk.c` keeps it: a length, then what each write was about to overwrite. A
 * process that died while it noted that had not begun to write.
 * @returns bytes that are gone
 */
function undoWrites(path: string, record: Buffer, random: Random): number {
  if (record.length < 8) return 0;
  const written = readFileSync(path);
  const durable = Math.min(Number(record.readBigUInt64LE(0)), written.length);
  const kept = random.next() < 0.5 ? durable : randomInt(random, durable, written.length);
  let lost = written.length - kept;
  const overwritten: { readonly at: number; readonly bytes: Buffer }[] = [];
  for (let at = 8; at + 16 <= record.length; ) {
    const length = Number(record.readBigUInt64LE(at + 8));
    const bytes = record.subarray(at + 16, at + 16 + length);
    overwritten.unshift({ at: Number(record.readBigUInt64LE(at)), bytes });
    at += 16 + length;
  }
  for (const { at, bytes } of overwritten) {
    if (kept > durable && random.next() < 0.5) continue;
    bytes.copy(written, at);
    lost += bytes.length;
  }
  writeFileSync(path, written.subarray(0, kept));
  return lost;
}
