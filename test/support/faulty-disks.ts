import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SOURCE = fileURLToPath(new URL('faulty-disk.c', import.meta.url));

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

  /** Whether this machine can have them: Linux with a C compiler. */
  static get possible(): boolean {
    if (process.platform !== 'linux') return false;
    try {
      execFileSync('gcc', ['--version'], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  }

  /** Compiles the library. @param folder for it, for the control files and for the data */
  static make(folder: string): FaultyDisks {
    mkdirSync(folder, { recursive: true });
    const library = join(folder, 'faulty-disk.so');
    execFileSync('gcc', ['-shared', '-fPIC', '-O2', '-Wall', '-Werror', '-o', library, SOURCE, '-ldl']);
    return new FaultyDisks(folder, library);
  }

  /** What the process `name` must be started with. */
  own(name: string): { readonly data: string; readonly environment: Readonly<Record<string, string>> } {
    const data = join(this.#folder, name);
    return {
      data,
      environment: {
        LD_PRELOAD: this.#library,
        FAULTY_DISK_FOLDER: data,
        FAULTY_DISK_CONTROL: this.#control(name),
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

  #control(name: string): string {
    return join(this.#folder, `${name}.control`);
  }
}
