import fc from 'fast-check';
import { expect, test } from 'vitest';
import { apply } from '../../src/model/apply.ts';
import type { Command } from '../../src/model/command.ts';
import type { Inode } from '../../src/model/inode.ts';
import { MemoryStateStore } from '../../src/model/memory-state-store.ts';
import { statusOf } from '../../src/model/namespace.ts';
import type { RequestId } from '../../src/model/operations.ts';
import type { Caller } from '../../src/model/principal.ts';
import { isRefusal } from '../../src/model/refusal.ts';
import { dentryPrefix, ROOT_KEY } from '../../src/model/state-store.ts';
import { type NaiveNode, NaiveTree } from './naive-tree.ts';
import { ALICE, BOB, codeOf, command, dump, EVE, effects, faults, purgeAll, ROOT, World } from './world.ts';

const name = fc.constantFrom('a', 'b', 'c');
const anyPath = fc.array(name, { minLength: 0, maxLength: 4 }).map((names) => `/${names.join('/')}`);
/** `@5` is the sixth path that exists when the step runs, so that steps meet something. */
const existing = fc.nat(30).map((index) => `@${index}`);
const below = fc.tuple(existing, name).map(([at, last]) => `${at}/${last}`);
const path = fc.oneof(anyPath, { weight: 3, arbitrary: existing }, { weight: 3, arbitrary: below });
const yes = fc.boolean();
const mode = fc.constantFrom(0o755, 0o777, 0o1777, 0o2775, 0o700, 0o555, 0o711, 0o600);
const fileMode = fc.constantFrom(0o644, 0o666, 0o600, 0o444, 0o640);
const caller: fc.Arbitrary<Caller> = fc.constantFrom(ROOT, ROOT, ROOT, ALICE, BOB, EVE);

const operation: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc
      .record({ path, mode: fileMode, recursive: yes, overwrite: yes, empty: yes })
      .map((fields) => command('createFile', fields)),
  },
  {
    weight: 1,
    arbitrary: fc
      .record({ path, mode: fileMode, overwrite: yes })
      .map((fields) => command('createFile', { ...fields, writeType: 'THROUGH' })),
  },
  {
    weight: 3,
    arbitrary: fc.record({ path, lengthBytes: fc.nat(2) }).map((fields) => command('completeFile', fields)),
  },
  {
    weight: 5,
    arbitrary: fc
      .record({ path, mode, recursive: yes, allowExists: yes })
      .map((fields) => command('makeDirectory', fields)),
  },
  { weight: 2, arbitrary: fc.record({ path, recursive: yes }).map((fields) => command('delete', fields)) },
  {
    weight: 5,
    arbitrary: fc.record({ source: path, target: path, overwrite: yes }).map((fields) => command('rename', fields)),
  },
  {
    weight: 2,
    arbitrary: fc
      .record(
        { path, mode, owner: fc.constantFrom('alice', 'bob'), group: fc.constantFrom('staff', 'eng'), pinned: yes },
        { requiredKeys: ['path'] },
      )
      // Bits that only the set-id rules touch have a table of their own.
      .map(({ mode: bits, ...rest }) =>
        command('setAttributes', bits === undefined ? rest : { ...rest, mode: bits & 0o1777 }),
      ),
  },
  {
    weight: 2,
    arbitrary: fc
      .record({ path, readOnly: yes, uri: fc.constantFrom('memory://x', 'memory://y', 'memory://z') })
      .map((fields) => command('mount', fields)),
  },
  { weight: 1, arbitrary: fc.record({ path }).map((fields) => command('unmount', fields)) },
);

type Step =
  | { readonly kind: 'run'; readonly command: Command; readonly caller: Caller }
  | { readonly kind: 'purge'; readonly trash: number; readonly child: number; readonly batch: number }
  | { readonly kind: 'again'; readonly which: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 20, arbitrary: fc.record({ kind: fc.constant('run' as const), command: operation, caller }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('purge' as const), trash: fc.nat(5), child: fc.nat(3), batch: fc.nat(3) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('again' as const), which: fc.nat() }) },
);

const CLIENT = 'client-1';

test('random commands do what a naive tree does, once each, and leave no orphan row', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 80, size: 'max' }), async (steps) => {
      const world = new World();
      const naive = new NaiveTree();
      const answered: { command: Command; caller: Caller; requestId: RequestId; outcome: unknown }[] = [];
      for (const what of steps) {
        if (what.kind === 'run') runBoth(world, naive, what.command, what.caller, answered);
        else if (what.kind === 'again') deliverAgain(world, answered, what.which);
        else await purgeSome(world, what);
        expect(faults(world.store)).toEqual([]);
        expect(shape(world.store)).toEqual(naiveShape(naive.root));
      }
      await purgeAll(world, 2);
      expect(faults(world.store)).toEqual([]);
      expect(world.store.rows('trash')).toEqual([]);
      expect(world.store.rows('inode')).toHaveLength(count(naive.root));

      const second = new MemoryStateStore();
      for (const stamped of world.journal) apply(second, stamped);
      expect(dump(second)).toEqual(world.dump());
    }),
    { numRuns: 300 },
  );
});

function runBoth(
  world: World,
  naive: NaiveTree,
  asked: Command,
  who: Caller,
  answered: { command: Command; caller: Caller; requestId: RequestId; outcome: unknown }[],
): void {
  const what = completed(world, onPaths(asked, [...pathsOf(naive.root, '')]));
  const before = effects(world.store);
  const requestId = { client: CLIENT, sequence: answered.length + 1, acknowledgedBelow: 1 };
  const { outcome } = world.apply(what, who, requestId);
  answered.push({ command: what, caller: who, requestId, outcome });
  const codes = naive.attempt(what, who);
  const told = `${JSON.stringify(what)} by ${who.user}`;
  if (codes.size === 0) expect(codeOf(outcome), told).toBe('ok');
  else expect([...codes], told).toContain(codeOf(outcome));
  if (codes.size > 0) expect(effects(world.store), told).toEqual(before);
}

function onPaths(what: Command, paths: readonly string[]): Command {
  const resolve = (text: string) =>
    text.replace(/^@(\d+)/, (_, index: string) => paths[Number(index) % paths.length]!).replace('//', '/');
  if (what.kind === 'rename') return { ...what, source: resolve(what.source), target: resolve(what.target) };
  return 'path' in what ? { ...what, path: resolve(what.path) } : what;
}

function* pathsOf(node: NaiveNode, at: string): Generator<string> {
  yield at === '' ? '/' : at;
  for (const [child, under] of node.children) yield* pathsOf(under, `${at}/${child}`);
}

/** Completions need the id of the file, and the UFS's version when it is written through. */
function completed(world: World, what: Command): Command {
  if (what.kind !== 'completeFile') return what;
  const status = statusOf(world.store, ROOT, what.path);
  if (isRefusal(status)) return { ...what, id: 1 };
  return { ...what, id: status.id, ufsVersion: status.writeType === 'THROUGH' ? 'etag' : '' };
}

function deliverAgain(
  world: World,
  answered: readonly { command: Command; caller: Caller; requestId: RequestId; outcome: unknown }[],
  which: number,
): void {
  const request = answered[which % Math.max(1, answered.length)];
  if (request === undefined) return;
  const before = { ...dump(world.store), counters: 0 };
  const { outcome, notices } = world.apply(request.command, request.caller, request.requestId);
  expect(outcome).toEqual(request.outcome);
  expect(notices).toEqual([]);
  expect({ ...dump(world.store), counters: 0 }).toEqual(before);
}

/** A purge by a service that is late, early or wrong: it names any children of any detached directory, or of the root. */
async function purgeSome(world: World, what: Step & { kind: 'purge' }): Promise<void> {
  const trash = world.store.rows('trash');
  const parentId = trash[what.trash]?.row.id ?? 1;
  const prefix = dentryPrefix(parentId);
  const rows = world.store.rows('inode').filter(({ key }) => key.startsWith(prefix));
  const entries = rows
    .slice(what.child, what.child + what.batch)
    .map(({ key }) => ({ parentId, name: key.slice(prefix.length) }));
  world.must('purge', { entries: [...entries, { parentId, name: 'gone' }] });
}

function shape(store: MemoryStateStore, key = ROOT_KEY): unknown {
  const inode: Inode = store.get('inode', key)!;
  const prefix = dentryPrefix(inode.id);
  const rows = inode.kind === 'file' ? [] : store.rows('inode').filter((row) => row.key.startsWith(prefix));
  return {
    kind: inode.kind,
    owner: inode.owner,
    group: inode.group,
    mode: inode.mode,
    pinned: inode.pinned,
    complete: inode.kind === 'directory' || inode.complete,
    lengthBytes: inode.kind === 'file' ? inode.lengthBytes : 0,
    mountPoint: inode.kind === 'directory' && inode.mountPoint,
    children: Object.fromEntries(rows.map((row) => [row.key.slice(prefix.length), shape(store, row.key)])),
  };
}

function naiveShape(node: NaiveNode): unknown {
  return {
    kind: node.kind,
    owner: node.owner,
    group: node.group,
    mode: node.mode,
    pinned: node.pinned,
    complete: node.complete,
    lengthBytes: node.lengthBytes,
    mountPoint: node.mount !== undefined,
    children: Object.fromEntries([...node.children].map(([child, below]) => [child, naiveShape(below)])),
  };
}

function count(node: NaiveNode): number {
  return 1 + [...node.children.values()].reduce((sum, child) => sum + count(child), 0);
}
