import { randomInt } from '../../src/base/random.ts';
import type { Command, Outcome } from '../../src/model/command.ts';
import { encodeJournalEntry } from '../../src/wire/codec/command.ts';
import type { NamespaceCall, NamespaceOperation, NamespaceOutcome } from '../lin/namespace-model.ts';
import { exponential, TICK } from './faults.ts';
import type { Member } from './member.ts';
import type { World } from './world.ts';

const NAMES = ['a', 'b', 'c'];
/** Calls of all clients in one folder: judging a history is exponential in what overlaps. */
const CALLS_A_FOLDER = 40;
/** A client that got no answer asks again, perhaps another member, after so many ticks; when refused, after so few. */
const PATIENCE_TICKS = 40;
const REFUSED_TICKS = 3;
/** So long after its call it gives up. */
const DEADLINE_TICKS = 400;
const SYSTEM = { user: 'root', groups: ['root'], superuser: true };

/** What all clients saw. */
export class NamespaceHistory {
  readonly operations: NamespaceOperation[] = [];
  #calls = 0;

  folder(): string {
    this.#calls += 1;
    return `/h${Math.floor(this.#calls / CALLS_A_FOLDER)}`;
  }
}

/**
 * A client of the namespace that calls one operation after the other. A call without an answer is made again under the
 * same request id, perhaps of another member, until the client gives up; it then goes on under another name.
 */
export class NamespaceClient {
  readonly #world: World;
  readonly #history: NamespaceHistory;
  readonly #number: number;
  #lives = 0;
  #sequence = 0;
  #stopped = false;
  /** The call that is under way. */
  #pending: NamespaceOperation | undefined;

  constructor(world: World, history: NamespaceHistory, number: number) {
    this.#world = world;
    this.#history = history;
    this.#number = number;
  }

  start(): void {
    const { agenda, random, faults } = this.#world;
    agenda.after(1 + exponential(random, faults.think), () => this.#call());
  }

  /** What is under way is finished, nothing new begun. */
  stop(): void {
    this.#stopped = true;
  }

  /** Nothing happens any more: what is under way may have taken effect. */
  end(): void {
    if (this.#pending !== undefined && this.#pending.input.kind !== 'exists')
      this.#history.operations.push(this.#pending);
  }

  #call(): void {
    if (this.#stopped) return;
    const input = this.#draw();
    const calledAt = this.#world.agenda.now;
    this.#pending = { input, outcome: undefined, calledAt, returnedAt: 0 };
    const done = (outcome: NamespaceOutcome | undefined): void => {
      this.#pending = undefined;
      if (outcome !== undefined || input.kind !== 'exists') {
        this.#history.operations.push({ input, outcome, calledAt, returnedAt: this.#world.agenda.now });
      }
      this.start();
    };
    const deadline = calledAt + DEADLINE_TICKS * TICK;
    if (input.kind === 'exists') this.#read(input.path, done, deadline);
    else {
      this.#sequence += 1;
      this.#change(input, done, deadline);
    }
  }

  #draw(): NamespaceCall {
    const { random } = this.#world;
    const folder = this.#history.folder();
    const some = (): string => `${folder}/${NAMES[randomInt(random, 0, NAMES.length - 1)]}`;
    const kind = (['create', 'create', 'delete', 'rename', 'exists', 'exists'] as const)[randomInt(random, 0, 5)]!;
    const path = some();
    if (kind !== 'rename') return { kind, path };
    const target = some();
    return path === target ? { kind: 'exists', path } : { kind, path, target };
  }

  #change(input: NamespaceCall, done: (outcome: NamespaceOutcome | undefined) => void, deadline: number): void {
    const world = this.#world;
    const once = this.#attempt(deadline, (again) => {
      if (again) {
        this.#change(input, done, deadline);
        return;
      }
      // Whether it will take effect is not known: what follows must not seem to acknowledge it.
      this.#lives += 1;
      this.#sequence = 0;
      done(undefined);
    });
    world.proposeCommand(this.#someone(), this.#encode(commandOf(input)), (outcome) => {
      if (outcome === undefined) {
        once.refuse();
        return;
      }
      const said = understood(outcome);
      if (said === 'unformatted') world.proposeCommand(this.#someone(), this.#encode(FORMAT, false), () => undefined);
      else once.settle(() => done(said));
    });
  }

  #read(path: string, done: (outcome: NamespaceOutcome | undefined) => void, deadline: number): void {
    const once = this.#attempt(deadline, (again) => (again ? this.#read(path, done, deadline) : done(undefined)));
    this.#world.readFrom(this.#anyone(), (member) => {
      if (member === undefined) once.refuse();
      else once.settle(() => done(member.state.exists(path) ? 'OK' : 'NOT_FOUND'));
    });
  }

  /** Gives an attempt its time; `over` is told whether another one may follow. */
  #attempt(deadline: number, over: (again: boolean) => void): { settle(then: () => void): void; refuse(): void } {
    const { agenda } = this.#world;
    let open = true;
    const close = (then: () => void): void => {
      if (!open) return;
      open = false;
      then();
    };
    const giveUp = (): void => close(() => over(agenda.now < deadline));
    agenda.after(PATIENCE_TICKS * TICK, giveUp);
    return { settle: close, refuse: () => agenda.after(REFUSED_TICKS * TICK, giveUp) };
  }

  #encode(command: Command, counted = true): Uint8Array {
    const sequence = this.#sequence;
    const client = `client-${this.#number}-${this.#lives}`;
    const stamped = { atMs: this.#world.agenda.now, principal: SYSTEM, command };
    const requestId = { client, sequence, acknowledgedBelow: sequence };
    return encodeJournalEntry({ kind: 'command', stamped: counted ? { ...stamped, requestId } : stamped });
  }

  /** Most often somebody who believes to lead. */
  #someone(): Member {
    const leaders = [...this.#world.members.values()].filter((member) => member.role === 'leader');
    const { random } = this.#world;
    const leader = leaders[randomInt(random, 0, Math.max(0, leaders.length - 1))];
    return leader !== undefined && random.next() < 0.8 ? leader : this.#anyone();
  }

  #anyone(): Member {
    const { members, random, ids } = this.#world;
    return members.get(ids[randomInt(random, 0, ids.length - 1)]!)!;
  }
}

const FORMAT: Command = { kind: 'format', clusterId: 'sim', owner: 'root', group: 'root' };

function commandOf(call: NamespaceCall): Command {
  switch (call.kind) {
    case 'rename':
      return { kind: 'rename', source: call.path, target: call.target, overwrite: false, ufsVersion: '' };
    case 'delete':
      return { kind: 'delete', path: call.path, recursive: false, keepUfs: false, id: 0 };
    default:
      return {
        kind: 'createFile',
        path: call.path,
        mode: 0o644,
        writeType: 'MUST_CACHE',
        blockSizeBytes: 1024,
        recursive: true,
        overwrite: false,
        empty: true,
        ufsVersion: '',
      };
  }
}

function understood(outcome: Outcome): NamespaceOutcome | 'unformatted' {
  if (outcome.kind !== 'refused') return 'OK';
  const { code, message } = outcome.refusal;
  if (code === 'NOT_FOUND' || code === 'ALREADY_EXISTS') return code;
  if (code === 'UNAVAILABLE') return 'unformatted';
  throw new Error(`The namespace refuses: ${message}`);
}
