import { must } from '../../src/base/assert.ts';
import { describeEvent } from '../../src/raft/describe.ts';
import { type Membership, NO_MEMBERS } from '../../src/raft/membership.ts';
import type { Envelope } from '../../src/raft/message.ts';
import { type NodeId, ORIGIN, type Position } from '../../src/raft/position.ts';
import { SimDisk } from '../sim/disk.ts';
import { ScriptNode } from './script-node.ts';

/** The words and the options `key=value` of one line. */
interface Command {
  readonly verb: string;
  readonly words: readonly string[];
  readonly options: ReadonlyMap<string, string>;
}

/** Who can wait longest before it asks for votes: nothing in a script takes that long. */
const PATIENCE = 100;

/**
 * Runs a transcript: lines that begin with `> ` are commands, what follows them is what they cause; lines with `#` and
 * empty ones stay as they are. The verbs are in this folder's README.
 * @returns the transcript as it should be.
 * @throws Error with the number of the line when a command cannot be obeyed.
 */
export function runScript(text: string): string {
  const script = new Script();
  const lines: string[] = [];
  for (const [i, line] of text.split('\n').entries()) {
    if (line.startsWith('#') || line === '') lines.push(line);
    if (!line.startsWith('> ')) continue;
    try {
      lines.push(line, ...script.run(line.slice(2)));
    } catch (error) {
      throw new Error(`Line ${i + 1}, "${line}": ${error instanceof Error ? error.message : error}`, { cause: error });
    }
  }
  return lines.join('\n');
}

/** A cluster whose messages travel when they are told to. */
class Script {
  readonly #nodes = new Map<NodeId, ScriptNode>();
  readonly #travelling: Envelope[] = [];
  /** Links that carry nothing, as `from>to`. */
  readonly #cut = new Set<string>();
  #said: string[] = [];
  #ids = 0;

  run(line: string): string[] {
    const quiet = line.startsWith('quietly ');
    this.#obey(parse(quiet ? line.slice('quietly '.length) : line));
    const said = this.#said;
    this.#said = [];
    return quiet ? [] : said;
  }

  #obey(command: Command): void {
    const { verb, words, options } = command;
    const count = Number(words[1] ?? 1);
    switch (verb) {
      case 'nodes':
        this.#create(command);
        break;
      case 'restart':
        this.#node(words[0]).restart(words[1] === 'kept');
        break;
      case 'tick':
        for (let i = 0; i < count; i += 1) this.#node(words[0]).give({ kind: 'tick' });
        break;
      case 'pass':
        this.#pass(Number(words[0]));
        break;
      case 'timeout':
        this.#timeOut(this.#node(words[0]));
        break;
      case 'settle':
        this.#settle();
        break;
      case 'deliver':
      case 'drop':
        this.#move(command);
        break;
      case 'cut':
      case 'heal':
        this.#connect(command);
        break;
      case 'log':
      case 'state':
      case 'peers':
        for (const id of words) this.#show(verb, this.#node(id));
        break;
      case 'propose': {
        const bytes = new Uint8Array(Number(options.get('bytes') ?? 8));
        const proposals = Array.from({ length: count }, () => ({ id: ++this.#ids, bytes }));
        this.#node(words[0]).give({ kind: 'propose', proposals });
        break;
      }
      default:
        this.#tell(command);
    }
  }

  /** The verbs that give one event to one node. */
  #tell({ verb, words, options }: Command): void {
    const node = this.#node(words[0]);
    const other = words[1] ?? '';
    switch (verb) {
      case 'read':
        node.give({ kind: 'read', token: ++this.#ids });
        break;
      case 'transfer':
        node.give({ kind: 'transferLeadership', to: other });
        break;
      case 'change': {
        const target = { voters: list(options, 'voters'), learners: list(options, 'learners'), members: [] };
        node.give({ kind: 'changeMembership', id: ++this.#ids, target });
        break;
      }
      case 'unreachable':
        node.give({ kind: 'peerUnreachable', peer: other });
        break;
      case 'reachable':
        node.give({ kind: 'peerReachable', peer: other });
        break;
      case 'persist':
        node.persist();
        break;
      case 'apply':
        node.apply();
        break;
      case 'compact':
        node.compact(Number(other));
        break;
      case 'fetched':
        node.fetched(this.#node(other).snapshot());
        break;
      case 'failed':
        node.give({ kind: 'snapshotFailed' });
        break;
      case 'installed':
        node.installed();
        break;
      default:
        throw new Error(`no such verb: ${verb}`);
    }
  }

  #create({ words, options }: Command): void {
    for (const id of words) {
      const disk = new SimDisk();
      disk.base = options.has('base') ? position(must(options.get('base'), 'base')) : ORIGIN;
      const terms = list(options, 'log').map(Number);
      disk.entries.push(
        ...terms.map((term, i) => {
          return { term, index: disk.base.index + i + 1, kind: 'command' as const, bytes: new Uint8Array(0) };
        }),
      );
      disk.ballot = { term: Number(options.get('term') ?? disk.last.term), votedFor: options.get('vote') };
      disk.commit = Number(options.get('commit') ?? disk.base.index);
      const voters = options.has('voters') ? list(options, 'voters') : words;
      const membership: Membership = {
        ...NO_MEMBERS,
        voters: [...voters].sort(),
        outgoing: list(options, 'outgoing'),
        learners: list(options, 'learners'),
      };
      const setup = {
        disk,
        membership: options.get('voters') === '' ? NO_MEMBERS : membership,
        limits: options.has('frames') ? { maxInFlightFrames: Number(options.get('frames')) } : {},
        slowDisk: options.get('disk') === 'slow',
        slowApply: options.get('apply') === 'slow',
      };
      const send = (envelope: Envelope): void => void this.#travelling.push(envelope);
      this.#nodes.set(id, new ScriptNode(id, setup, { say: (line) => void this.#said.push(line), send }));
    }
  }

  /** Time passes for all, and messages need none of it. */
  #pass(ticks: number): void {
    for (let i = 0; i < ticks; i += 1) {
      for (const node of this.#nodes.values()) node.give({ kind: 'tick' });
      this.#settle();
    }
  }

  #timeOut(node: ScriptNode): void {
    for (let i = 0; i < PATIENCE; i += 1) {
      const before = this.#said.length;
      node.give({ kind: 'tick' });
      if (this.#said.length > before && node.status.role !== 'follower') return;
    }
    this.#said.push(`(${node.id} does not campaign)`);
  }

  #settle(): void {
    for (let i = 0; this.#travelling.length > 0; i += 1) {
      if (i === 10_000) throw new Error('the messages never end');
      this.#deliver(this.#travelling.shift()!);
    }
  }

  /** Delivers or drops, of the messages that are on their way, those which the options name. */
  #move({ verb, options }: Command): void {
    let left = Number(options.get('count') ?? Number.POSITIVE_INFINITY);
    let skipped = Number(options.get('skip') ?? 0);
    for (const envelope of this.#travelling.splice(0)) {
      const { from, to, message } = envelope;
      const fits = Object.entries({ from, to, kind: message.kind }).every(
        ([key, value]) => (options.get(key) ?? value) === value,
      );
      if (fits) skipped -= 1;
      if (!fits || left <= 0 || skipped >= 0) {
        this.#travelling.push(envelope);
        continue;
      }
      left -= 1;
      if (verb === 'deliver') this.#deliver(envelope);
      else this.#lose(envelope);
    }
  }

  #deliver(envelope: Envelope): void {
    const { from, to, message } = envelope;
    if (this.#cut.has(`${from}>${to}`) || !this.#nodes.has(to)) this.#lose(envelope);
    else this.#node(to).give({ kind: 'receive', from, message });
  }

  #lose({ from, to, message }: Envelope): void {
    this.#said.push(`(lost on the way to ${to}) ${describeEvent({ kind: 'receive', from, message })}`);
  }

  /** `cut a>b` in one direction, `cut a b` in both, `cut a` from all; `heal` likewise. */
  #connect({ verb, words: [first, second] }: Command): void {
    if (verb === 'heal' && first === undefined) {
      this.#cut.clear();
      return;
    }
    const a = first ?? '';
    const others = second === undefined ? [...this.#nodes.keys()].filter((id) => id !== a) : [second];
    const links = a.includes('>') ? [a] : others.flatMap((b) => [`${a}>${b}`, `${b}>${a}`]);
    for (const link of links) {
      if (verb === 'cut') this.#cut.add(link);
      else this.#cut.delete(link);
    }
  }

  #show(what: 'log' | 'state' | 'peers', { id, status, terms }: ScriptNode): void {
    const { role, term, leader, last, durable, commit, base, membership } = status;
    if (what === 'log') this.#said.push(`${id}: ${base.index} | ${terms.join(' ')}`);
    if (what === 'state') {
      const joint = membership.outgoing.length > 0 ? ` & ${membership.outgoing}` : '';
      const members = `${membership.voters}${joint}${membership.learners.length > 0 ? ` + ${membership.learners}` : ''}`;
      const ends = `last ${last.term}/${last.index} durable ${durable} commit ${commit}`;
      this.#said.push(`${id}: ${role} t${term} leader ${leader ?? '-'} ${ends} members ${members}`);
    }
    if (what !== 'peers') return;
    for (const [peer, { match, next, state, framesInFlight }] of status.peers) {
      this.#said.push(`${id} of ${peer}: ${state} match ${match} next ${next} in flight ${framesInFlight}`);
    }
  }

  #node(id: string | undefined): ScriptNode {
    return must(this.#nodes.get(id ?? ''), `there is no node ${id}`);
  }
}

function parse(line: string): Command {
  const [verb, ...rest] = line.split(' ').filter((part) => part !== '');
  const options = rest
    .filter((part) => part.includes('='))
    .map((part): [string, string] => {
      const at = part.indexOf('=');
      return [part.slice(0, at), part.slice(at + 1)];
    });
  return { verb: verb ?? '', words: rest.filter((part) => !part.includes('=')), options: new Map(options) };
}

function list(options: ReadonlyMap<string, string>, key: string): string[] {
  return (options.get(key) ?? '').split(',').filter((part) => part !== '');
}

function position(text: string): Position {
  const [term, index] = text.split('/').map(Number);
  return { term: term ?? 0, index: index ?? 0 };
}
