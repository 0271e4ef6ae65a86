import { apply } from '../../src/model/apply.ts';
import type { Applied, Command, CommandKind, CommandOf, Outcome, StampedCommand } from '../../src/model/command.ts';
import { type DirectoryInode, type FileInode, type Inode, TRASH_INODE_ID } from '../../src/model/inode.ts';
import { MemoryStateStore } from '../../src/model/memory-state-store.ts';
import { statusOf } from '../../src/model/namespace.ts';
import type { RequestId } from '../../src/model/operations.ts';
import type { Caller } from '../../src/model/principal.ts';
import { isRefusal } from '../../src/model/refusal.ts';
import { dentryKey, dentryPrefix, idKey, ROOT_KEY, ROOT_PLACE, TABLE_NAMES } from '../../src/model/state-store.ts';
import type { FileStatus } from '../../src/model/status.ts';

export const ROOT: Caller = { user: 'root', groups: ['wheel'], superuser: true };
export const ALICE: Caller = { user: 'alice', groups: ['staff'], superuser: false };
export const BOB: Caller = { user: 'bob', groups: ['eng', 'staff'], superuser: false };
export const EVE: Caller = { user: 'eve', groups: ['guests'], superuser: false };

const DEFAULTS: { readonly [K in CommandKind]?: object } = {
  createFile: {
    mode: 0o644,
    writeType: 'MUST_CACHE',
    blockSizeBytes: 1024,
    recursive: false,
    overwrite: false,
    empty: false,
    ufsVersion: '',
  },
  completeFile: { lengthBytes: 0, ufsVersion: '', ufsModifiedMs: -1 },
  makeDirectory: { mode: 0o755, recursive: false, allowExists: false, persisted: false },
  delete: { recursive: false, keepUfs: false, id: 0 },
  rename: { overwrite: false, ufsVersion: '' },
  mount: { options: {}, readOnly: false, syncIntervalMs: -1 },
  loadMetadata: { upserts: [], removals: [], complete: false, blockSizeBytes: 1024 },
};

type Fields<K extends CommandKind> = Partial<Omit<CommandOf<K>, 'kind'>>;

/** A command of `kind` with plain defaults for what `fields` leaves out. */
export function command<K extends CommandKind>(kind: K, fields: Fields<K>): Command {
  return { kind, ...DEFAULTS[kind], ...fields } as unknown as Command;
}

/** One master's state and the commands that made it. */
export class World {
  readonly store = new MemoryStateStore();
  readonly journal: StampedCommand[] = [];
  nowMs = 1000;

  constructor() {
    this.apply({ kind: 'format', clusterId: 'cluster-1', owner: 'root', group: 'wheel' }, ROOT);
  }

  apply(what: Command, principal: Caller, requestId?: RequestId): Applied {
    const base = { atMs: ++this.nowMs, principal, command: what };
    const stamped: StampedCommand = requestId === undefined ? base : { ...base, requestId };
    this.journal.push(stamped);
    return apply(this.store, stamped);
  }

  run<K extends CommandKind>(kind: K, fields: Fields<K>, principal: Caller = ROOT): Outcome {
    return this.apply(command(kind, fields), principal).outcome;
  }

  /** Runs a command that must not be refused. */
  must<K extends CommandKind>(kind: K, fields: Fields<K>, principal: Caller = ROOT): Outcome {
    const outcome = this.run(kind, fields, principal);
    if (outcome.kind === 'refused') throw new Error(`${kind} ${JSON.stringify(fields)}: ${outcome.refusal.message}`);
    return outcome;
  }

  /** A complete cached file. */
  file(path: string, principal: Caller = ROOT, mode = 0o644): FileInode {
    const outcome = this.must('createFile', { path, mode, recursive: true, empty: true }, principal);
    return inodeOf(outcome) as FileInode;
  }

  directory(path: string, principal: Caller = ROOT, mode = 0o755): DirectoryInode {
    const outcome = this.must('makeDirectory', { path, mode, recursive: true, allowExists: true }, principal);
    return inodeOf(outcome) as DirectoryInode;
  }

  mount(path: string, uri = `memory://${path}`, readOnly = false): void {
    this.must('mount', { path, uri, readOnly });
  }

  status(path: string, caller: Caller = ROOT): FileStatus {
    const status = statusOf(this.store, caller, path);
    if (isRefusal(status)) throw new Error(status.message);
    return status;
  }

  exists(path: string): boolean {
    return !isRefusal(statusOf(this.store, ROOT, path));
  }

  inode(path: string): Inode {
    const { id } = this.status(path);
    const place = this.store.get('place', idKey(id))!;
    return this.store.get('inode', dentryKey(place.parentId, place.name))!;
  }

  dump(): unknown {
    return dump(this.store);
  }
}

/** Every row of every table. */
export function dump(store: MemoryStateStore): Record<string, unknown> {
  return Object.fromEntries(TABLE_NAMES.map((name) => [name, store.rows(name)]));
}

/** The state without what a refusal may change: log time, sessions and remembered answers. */
export function effects(store: MemoryStateStore): unknown {
  const { session: _session, reply: _reply, ...rest } = dump(store);
  return { ...rest, counters: { ...store.get('counters', '')!, logTimeMs: 0 } };
}

export function inodeOf(outcome: Outcome): Inode {
  if (outcome.kind !== 'inode') throw new Error(`Expected an inode, got ${JSON.stringify(outcome)}`);
  return outcome.inode;
}

/** `ok`, or the code of the refusal. */
export function codeOf(outcome: Outcome): string {
  return outcome.kind === 'refused' ? outcome.refusal.code : 'ok';
}

/** Lists all that is wrong with the tree's rows; nothing is when each is reachable, placed and counted once. */
export function faults(store: MemoryStateStore): string[] {
  const found: string[] = [];
  const mounts = new Map(store.rows('mount').map(({ key, row }) => [key, row]));
  let seen = 0;
  const visit = (inode: Inode, key: string, path: string | undefined): number => {
    seen++;
    const place = store.get('place', idKey(inode.id));
    if (place === undefined || dentryKey(place.parentId, place.name) !== key) found.push(`place of ${key}`);
    if (inode.kind === 'file') return 0;
    if (inode.mountPoint && (path === undefined || mounts.get(path)?.inodeId !== inode.id)) found.push(`mount ${path}`);
    const prefix = dentryPrefix(inode.id);
    const children = store.rows('inode').filter((row) => row.key.startsWith(prefix));
    if (children.length !== inode.childCount) found.push(`childCount of ${path ?? key}`);
    let below = 0;
    for (const child of children) {
      const name = child.key.slice(prefix.length);
      below += visit(
        child.row,
        child.key,
        path === undefined ? undefined : path === '/' ? `/${name}` : `${path}/${name}`,
      );
    }
    if (below !== inode.mountsBelow) found.push(`mountsBelow of ${path ?? key}`);
    return below + (inode.mountPoint ? 1 : 0);
  };
  const mountPoints = visit(store.get('inode', ROOT_KEY)!, ROOT_KEY, '/');
  if (mountPoints !== mounts.size) found.push('mounts');
  if (store.get('mountIndex', '')?.mounts.length !== mounts.size && mounts.size > 0) found.push('mount index');
  const trashed = store.rows('inode').filter((row) => row.key.startsWith(dentryPrefix(TRASH_INODE_ID)));
  for (const { key, row } of trashed) {
    visit(row, key, undefined);
    if (row.kind !== 'directory' || row.childCount === 0) found.push(`trash ${key} is empty`);
    if (store.get('trash', idKey(row.id))?.id !== row.id) found.push(`trash row of ${key}`);
  }
  if (trashed.length !== store.rows('trash').length) found.push('trash rows');
  if (store.rows('inode').length !== seen) found.push('orphans in inode');
  if (store.rows('place').length !== seen) found.push('orphans in place');
  if (store.get('counters', '')?.inodeCount !== seen) found.push('inodeCount');
  if (dentryKey(ROOT_PLACE.parentId, ROOT_PLACE.name) !== ROOT_KEY) found.push('root key');
  return found;
}

/** Purges all that is detached, `batch` entries at a time, as a background service does. */
export async function purgeAll(world: World, batch = 100): Promise<number> {
  let commands = 0;
  for (;;) {
    const [trash] = await world.store.scan('trash', { prefix: '', after: '', limit: 1 });
    if (trash === undefined) return commands;
    const parentId = trash.row.id;
    const prefix = dentryPrefix(parentId);
    const rows = await world.store.scan('inode', { prefix, after: '', limit: batch });
    world.must('purge', { entries: rows.map(({ key }) => ({ parentId, name: key.slice(prefix.length) })) });
    commands++;
  }
}
