import type { NodeId } from '../../src/raft/position.ts';
import { type Deed, type ExploredNode, type Letter, Unfolding } from './explore-node.ts';

/** How much may happen on one path; everything that fits is tried. */
export interface Bounds {
  readonly nodes: number;
  /** Nobody campaigns for a later term. */
  readonly terms: number;
  /** How often somebody's election timer fires. */
  readonly timeouts: number;
  readonly proposals: number;
  readonly crashes: number;
  /** Messages that are lost; what is not lost arrives in order on each link. */
  readonly drops: number;
  /** Heartbeats; without them nothing that was lost is sent again. */
  readonly beats: number;
  /** Writes take their time, and what happens meanwhile is tried, too; otherwise each ends before anything else happens. */
  readonly slowDisks: boolean;
  /** States after which the search ends, complete or not. */
  readonly states: number;
}

export const SMALL_BOUNDS: Bounds = {
  nodes: 3,
  terms: 1,
  timeouts: 1,
  proposals: 1,
  crashes: 0,
  drops: 0,
  beats: 0,
  slowDisks: true,
  states: 1_000_000,
};

export interface Exploration {
  readonly states: number;
  /** Deeds tried, also those that led to a known state. */
  readonly steps: number;
  /** Different states of single nodes. */
  readonly nodes: number;
  /** The longest path. */
  readonly depth: number;
  /** Whether everything within the bounds was tried. */
  readonly complete: boolean;
  /** The most leaders, and the most committed entries, on a path. */
  readonly leaders: number;
  readonly committed: number;
  /** What broke first, on a shortest path, and that path in words. */
  readonly broken: string | undefined;
  readonly path: readonly string[];
}

type Used = Pick<Bounds, 'timeouts' | 'proposals' | 'crashes' | 'drops' | 'beats'>;

interface State {
  readonly nodes: readonly ExploredNode[];
  /** By link, `from * nodes + to`: what is on its way, in order. */
  readonly links: readonly (readonly Letter[])[];
  readonly used: Used;
  readonly depth: number;
  readonly before: State | undefined;
  readonly deed: { readonly at: number; readonly what: Deed; readonly key: string } | undefined;
}

/** Something that can happen next. */
interface Choice {
  readonly at: number;
  readonly deed: Deed | undefined;
  readonly key: string;
  /** The link whose first message this takes. */
  readonly link?: number;
  readonly uses?: keyof Used;
}

const UNUSED: Used = { timeouts: 0, proposals: 0, crashes: 0, drops: 0, beats: 0 };

/**
 * Tries, breadth first, everything that can happen to a small cluster of real cores within the bounds: in which order
 * messages arrive and writes end, who campaigns, proposes, crashes, and what is lost. Time is a matter of choice, too:
 * any timer may fire at any moment.
 */
export function explore(bounds: Bounds): Exploration {
  const ids = Array.from({ length: bounds.nodes }, (_, i) => `n${i + 1}`);
  const unfolding = new Unfolding(ids);
  const first: State = {
    nodes: ids.map((id) => unfolding.newborn(id)),
    links: Array.from({ length: bounds.nodes ** 2 }, () => []),
    used: UNUSED,
    depth: 0,
    before: undefined,
    deed: undefined,
  };
  const known = new Set<string>([keyOfState(first)]);
  const seen = { steps: 0, leaders: 0, committed: 0, depth: 0 };
  let level: State[] = [first];
  const report = (complete: boolean, broken?: string, last?: State): Exploration => {
    const path = last === undefined ? [] : pathTo(last, bounds.slowDisks);
    return { ...seen, nodes: unfolding.size, states: known.size, complete, broken, path };
  };
  while (level.length > 0) {
    const next: State[] = [];
    for (const state of level) {
      for (const choice of choices(state, bounds)) {
        seen.steps += 1;
        const { after, broken } = take(state, choice, ids, bounds.slowDisks);
        const key = keyOfState(after);
        if (broken === undefined && known.has(key)) continue;
        const wrong = broken ?? firstBroken(after.nodes);
        if (wrong !== undefined) return report(false, wrong, after);
        if (known.size >= bounds.states) return report(false);
        known.add(key);
        next.push(after);
        seen.committed = Math.max(seen.committed, ...after.nodes.map(({ past }) => past.committed.length));
        seen.leaders = Math.max(
          seen.leaders,
          after.nodes.reduce((sum, { past }) => sum + past.led.size, 0),
        );
        seen.depth = after.depth;
      }
    }
    level = next;
  }
  return report(true);
}

function choices({ nodes, links, used }: State, bounds: Bounds): Choice[] {
  const all: Choice[] = [];
  for (const [at, node] of nodes.entries()) {
    const { role, term, leader } = node.status;
    if (node.writing) all.push({ at, deed: { kind: 'written' }, key: 'written' });
    if (role === 'leader') {
      const id = used.proposals + 1;
      const deed = { kind: 'propose', proposals: [{ id, bytes: Uint8Array.of(id) }] } as const;
      if (used.proposals < bounds.proposals) all.push({ at, deed, key: `propose ${id}`, uses: 'proposals' });
      if (used.beats < bounds.beats) all.push({ at, deed: { kind: 'beat' }, key: 'beat', uses: 'beats' });
    } else if (term < bounds.terms && used.timeouts < bounds.timeouts) {
      all.push({ at, deed: { kind: 'timeout' }, key: 'timeout', uses: 'timeouts' });
    }
    if (role === 'follower' && leader !== undefined && !node.forsaken && term < bounds.terms)
      all.push({ at, deed: { kind: 'peerUnreachable', peer: leader }, key: `forsaken by ${leader}` });
    if (used.crashes >= bounds.crashes) continue;
    all.push({ at, deed: { kind: 'crashLost' }, key: 'crashLost', uses: 'crashes' });
    if (node.writing) all.push({ at, deed: { kind: 'crashKept' }, key: 'crashKept', uses: 'crashes' });
  }
  for (const [link, [letter]] of links.entries()) {
    if (letter === undefined) continue;
    const at = link % nodes.length;
    const { from, message, uid } = letter;
    all.push({ at, deed: { kind: 'receive', from, message }, key: String(uid), link });
    if (used.drops < bounds.drops) all.push({ at, deed: undefined, key: 'drop', link, uses: 'drops' });
  }
  return all;
}

function take(
  state: State,
  { at, deed, key, link, uses }: Choice,
  ids: readonly NodeId[],
  slowDisks: boolean,
): { readonly after: State; readonly broken: string | undefined } {
  const { nodes, used, depth } = state;
  const links = [...state.links];
  if (link !== undefined) links[link] = links[link]!.slice(1);
  const after = {
    nodes,
    links,
    used: uses === undefined ? used : { ...used, [uses]: used[uses] + 1 },
    depth: depth + 1,
  };
  if (deed === undefined) return { after: { ...after, before: state, deed: undefined }, broken: undefined };
  let { node, letters, broken } = nodes[at]!.after(deed, key);
  while (!slowDisks && node.writing && broken === undefined) {
    const ended = node.after({ kind: 'written' }, 'written');
    ({ node, broken } = ended);
    letters = [...letters, ...ended.letters];
  }
  for (const letter of letters) {
    const to = at * ids.length + ids.indexOf(letter.to);
    links[to] = [...links[to]!, letter];
  }
  const changed = nodes.map((other, i) => (i === at ? node : other));
  return { after: { ...after, nodes: changed, before: state, deed: { at, what: deed, key } }, broken };
}

function keyOfState({ nodes, links, used }: State): string {
  const travelling = links.map((letters) => letters.map(({ uid }) => uid).join());
  return `${nodes.map(({ uid }) => uid)}|${travelling.join(';')}|${Object.values(used)}`;
}

function pathTo(last: State, slowDisks: boolean): string[] {
  const lines: string[] = [];
  for (let state: State = last; state.before !== undefined; state = state.before) {
    const { deed, before } = state;
    if (deed === undefined) {
      lines.unshift('(a message is lost)');
      continue;
    }
    let node = before.nodes[deed.at]!;
    const told = node.tell(deed.what);
    node = node.after(deed.what, deed.key).node;
    while (!slowDisks && node.writing) {
      told.push(...node.tell({ kind: 'written' }));
      node = node.after({ kind: 'written' }, 'written').node;
    }
    lines.unshift(...told);
  }
  return lines;
}

/** The promises of Raft as properties of a state, numbered as in this folder's README. */
function firstBroken(nodes: readonly ExploredNode[]): string | undefined {
  for (const node of nodes) {
    const wrong = brokenAlone(node, nodes);
    if (wrong !== undefined) return wrong;
    for (const other of nodes) {
      if (other === node) continue;
      const between = brokenBetween(node, other);
      if (between !== undefined) return between;
    }
  }
  return undefined;
}

function brokenAlone({ id, status, past }: ExploredNode, nodes: readonly ExploredNode[]): string | undefined {
  for (const { entry } of past.committed) {
    const copies = nodes.filter(({ disk }) => disk[entry.index - 1]?.term === entry.term).length;
    if (copies * 2 <= nodes.length) return `I12: ${id} commits ${entry.index}, which ${copies} disks hold`;
  }
  if (status.role !== 'leader') return undefined;
  for (const [peer, { match }] of status.peers) {
    const { disk, ballot } = nodes.find((node) => node.id === peer)!;
    const held = match === 0 || ballot.term > status.term || disk.length >= match;
    if (!held) return `I16: ${id} counts ${peer} up to ${match}, which is not on its disk`;
  }
  return undefined;
}

function brokenBetween(a: ExploredNode, b: ExploredNode): string | undefined {
  for (const term of a.past.led.keys()) if (b.past.led.has(term)) return `I1: ${a.id} and ${b.id} lead in ${term}`;
  for (let i = Math.min(a.terms.length, b.terms.length) - 1, same = false; i >= 0; i -= 1) {
    if (same && a.terms[i] !== b.terms[i]) return `I3: the logs of ${a.id} and ${b.id} differ before ${i + 2}`;
    same ||= a.terms[i] === b.terms[i];
  }
  for (const [i, { entry }] of a.past.committed.entries()) {
    const other = b.past.committed[i]?.entry;
    const equal = other === undefined || (other.term === entry.term && other.bytes[0] === entry.bytes[0]);
    if (!equal) return `I5: ${a.id} and ${b.id} commit different entries at ${i + 1}`;
  }
  for (const [term, log] of b.past.led) {
    for (const [i, { entry, learned }] of a.past.committed.entries()) {
      if (learned < term && log[i] !== entry.term) return `I4: ${b.id} leads in ${term} without ${i + 1}`;
    }
  }
  return undefined;
}
