import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** Room for the journals and states of a drill of some minutes. */
const MEBIBYTES = 192;
const CHUNK = Buffer.alloc(256 * 1024);

/** Data folders on small file systems of their own, which can be filled up. Only root can mount them. */
export class SmallDisks {
  readonly #folder: string;
  readonly #mounted = new Map<string, string>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Why this user cannot mount a file system; undefined when it can. @param scratch where it is tried */
  static obstacle(scratch: string): string | undefined {
    const disks = new SmallDisks(scratch);
    try {
      disks.own('probe');
      return undefined;
    } catch (thrown) {
      return `a tmpfs cannot be mounted here (root?): ${(thrown as Error).message.trim()}`;
    } finally {
      disks.close();
    }
  }

  /** Mounts a file system for the process `name`. */
  own(name: string): { readonly data: string } {
    const at = join(this.#folder, name);
    mkdirSync(at, { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${MEBIBYTES}m`, 'sluice-drill', at], { stdio: 'pipe' });
    this.#mounted.set(name, at);
    return { data: join(at, 'data') };
  }

  /** Leaves no free byte. */
  fill(name: string): void {
    const file = openSync(this.#ballast(name), 'a');
    try {
      for (;;) writeSync(file, CHUNK);
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== 'ENOSPC') throw thrown;
    } finally {
      closeSync(file);
    }
  }

  free(name: string): void {
    rmSync(this.#ballast(name), { force: true });
  }

  close(): void {
    for (const at of this.#mounted.values()) execFileSync('umount', [at], { stdio: 'pipe' });
    this.#mounted.clear();
  }

  #ballast(name: string): string {
    return join(this.#mounted.get(name) ?? '', 'ballast');
  }
}
