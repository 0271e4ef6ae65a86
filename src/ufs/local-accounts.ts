import { readFile } from 'node:fs/promises';
import type { Logger } from '../host/logger.ts';
import { errnoOf } from './local-errors.ts';

/** Accounts that appear later are seen after this long. */
const REFRESH_MS = 60_000;

interface Table {
  readonly nameOf: ReadonlyMap<number, string>;
  readonly idOf: ReadonlyMap<string, number>;
}

interface Tables {
  readonly users: Table;
  readonly groups: Table;
}

/** Both files have lines `name:password:number:…`; the first line with a number or name counts, as in getpwuid(3). */
function parseTable(text: string): Table {
  const nameOf = new Map<number, string>();
  const idOf = new Map<string, number>();
  for (const line of text.split('\n')) {
    const [name = '', , digits = ''] = line.split(':');
    if (name === '' || name.startsWith('#') || !/^\d+$/.test(digits)) continue;
    const id = Number(digits);
    if (!nameOf.has(id)) nameOf.set(id, name);
    if (!idOf.has(name)) idOf.set(name, id);
  }
  return { nameOf, idOf };
}

function idIn(table: Table, name: string): number | undefined {
  return table.idOf.get(name) ?? (/^\d{1,9}$/.test(name) ? Number(name) : undefined);
}

/** The names of this host's accounts and the accounts of a snapshot in time. */
export class AccountNames {
  readonly #tables: Tables;

  constructor(tables: Tables) {
    this.#tables = tables;
  }

  /** Name of a user; the number as text when it has none. */
  user(uid: number): string {
    return this.#tables.users.nameOf.get(uid) ?? String(uid);
  }

  group(gid: number): string {
    return this.#tables.groups.nameOf.get(gid) ?? String(gid);
  }

  /** Number of a user, or of a numeric text; undefined when this host does not know the name. */
  uid(name: string): number | undefined {
    return idIn(this.#tables.users, name);
  }

  gid(name: string): number | undefined {
    return idIn(this.#tables.groups, name);
  }
}

/** Reads accounts from files like /etc/passwd and /etc/group, once a minute at most. */
export class LocalAccounts {
  readonly #logger: Logger;
  readonly #files: readonly [string, string];
  #names: AccountNames | undefined;
  #readAtMs = 0;

  constructor(logger: Logger, files: readonly [string, string] = ['/etc/passwd', '/etc/group']) {
    this.#logger = logger;
    this.#files = files;
  }

  async names(): Promise<AccountNames> {
    const now = performance.now();
    if (this.#names !== undefined && now - this.#readAtMs < REFRESH_MS) return this.#names;
    const [users, groups] = await Promise.all(this.#files.map((file) => this.#read(file)));
    this.#names = new AccountNames({ users: parseTable(users ?? ''), groups: parseTable(groups ?? '') });
    this.#readAtMs = now;
    return this.#names;
  }

  /** A host without such a file has accounts without names. */
  async #read(file: string): Promise<string> {
    try {
      return await readFile(file, 'utf8');
    } catch (thrown) {
      if (errnoOf(thrown) !== 'ENOENT') this.#logger.warn({ file, err: thrown }, 'cannot read account names');
      return '';
    }
  }
}
