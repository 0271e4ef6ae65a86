import type { UfsFact } from '../model/command.ts';
import { compareKeys } from '../model/path.ts';

const SLASH = 0x2f;

/**
 * Turns S3's order into the order of names. S3 sorts a directory `a` as `a/`, behind `a!` and `a-b`: whether it comes
 * is known only when the listing has passed `a/`. So entries wait until no directory can come before them; when too
 * many wait, `probe` asks for the one that they wait for. A directory displaces a file of its name.
 */
export class NameOrder {
  readonly #limit: number;
  readonly #probe: (name: string) => Promise<UfsFact | undefined>;
  readonly #displaced: (name: string) => void;
  /** Ascending by name, each once; all above `#released`. */
  readonly #waiting: UfsFact[] = [];
  /** Directories that were asked for and lie ahead in S3's order. */
  readonly #probed = new Set<string>();
  #released: string | undefined;
  /** Where the listing is: the last entry as S3 sorts it. */
  #position = '';

  /**
   * @param limit entries that wait at most before a probe
   * @param probe the directory of that name, or undefined when there is none
   * @param displaced told of each entry that is not shown
   */
  constructor(limit: number, probe: (name: string) => Promise<UfsFact | undefined>, displaced: (name: string) => void) {
    this.#limit = limit;
    this.#probe = probe;
    this.#displaced = displaced;
  }

  /** Takes the next entry in S3's order. @returns entries whose turn has come, in the order of names */
  async push(fact: UfsFact): Promise<UfsFact[]> {
    this.#position = fact.kind === 'directory' ? `${fact.name}/` : fact.name;
    if (this.#released === undefined || compareKeys(fact.name, this.#released) > 0) this.#insert(fact);
    return this.#release();
  }

  /** @returns what still waits, after the last entry */
  end(): UfsFact[] {
    return this.#waiting.splice(0);
  }

  async #release(): Promise<UfsFact[]> {
    const ready: UfsFact[] = [];
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      const awaited = this.#awaitedBy(first);
      if (awaited === undefined) {
        this.#waiting.shift();
        this.#released = first.name;
        ready.push(first);
        continue;
      }
      if (this.#waiting.length <= this.#limit) break;
      await this.#ask(awaited);
    }
    return ready;
  }

  /** The first directory that may still come and would sort before `fact`, or displace it. */
  #awaitedBy(fact: UfsFact): string | undefined {
    const { name } = fact;
    for (let length = 1; length < name.length; length += 1) {
      if (name.charCodeAt(length) < SLASH && this.#mayCome(name.slice(0, length))) return name.slice(0, length);
    }
    return fact.kind === 'file' && this.#mayCome(name) ? name : undefined;
  }

  #mayCome(directory: string): boolean {
    return compareKeys(`${directory}/`, this.#position) > 0 && !this.#probed.has(directory);
  }

  async #ask(name: string): Promise<void> {
    const directory = await this.#probe(name);
    for (const earlier of this.#probed) {
      if (compareKeys(`${earlier}/`, this.#position) <= 0) this.#probed.delete(earlier);
    }
    this.#probed.add(name);
    if (directory !== undefined) this.#insert(directory);
  }

  #insert(fact: UfsFact): void {
    let at = this.#waiting.length;
    while (at > 0 && compareKeys(this.#waiting[at - 1]?.name ?? '', fact.name) >= 0) at -= 1;
    const same = this.#waiting[at];
    if (same?.name !== fact.name) {
      this.#waiting.splice(at, 0, fact);
      return;
    }
    if (same.kind === fact.kind) return;
    this.#waiting[at] = same.kind === 'directory' ? same : fact;
    this.#displaced(fact.name);
  }
}
