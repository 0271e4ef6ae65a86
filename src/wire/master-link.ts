import type { SluiceError } from '../model/errors.ts';
import type { OperationName } from '../model/operations.ts';
import type { Principal } from '../model/principal.ts';
import type { ClientSession } from './client-session.ts';
import type { SessionReply } from './codec/session-frame.ts';

/** An operation on its way to a master. */
export interface MasterCall {
  readonly id: number;
  readonly name: OperationName;
  readonly body: Uint8Array;
  readonly principal: Principal;
  /** Monotonic time at which the caller gives up. */
  readonly deadlineMs: number;
  readonly weight: number;
  /** Absent for reads. */
  session: ClientSession | undefined;
  /** 0 for reads. */
  sequence: number;
  /** A read that any master may answer; false as soon as it has to go to the leader. */
  anyMaster: boolean;
  /** Some master may have seen it. */
  sent: boolean;
  /** Answered, or given up. */
  settled: boolean;
}

/** Calls that were sent on one link and are not answered. */
export class CallsInFlight {
  readonly #calls = new Map<number, MasterCall>();
  #weight = 0;

  get size(): number {
    return this.#calls.size;
  }

  /** Sum over the calls. */
  get weight(): number {
    return this.#weight;
  }

  all(): readonly MasterCall[] {
    return [...this.#calls.values()];
  }

  add(call: MasterCall): void {
    this.#calls.set(call.id, call);
    this.#weight += call.weight;
  }

  delete(call: MasterCall): void {
    if (this.#calls.delete(call.id)) this.#weight -= call.weight;
  }
}

/** What a channel hears from its connection to one master. */
export interface MasterLinkListener {
  /** A master was reached that belongs to this cluster; empty when it does not say. */
  linkOpened(cluster: string): void;
  /** The master may be sent operations, again or for the first time. */
  linkUsable(link: MasterLink): void;
  linkReplied(link: MasterLink, replies: readonly SessionReply[]): void;
  /** A master says where all are. */
  linkLearned(masters: readonly string[]): void;
  /** Said once; `link.inFlight` has what was not answered. */
  linkClosed(link: MasterLink, error: SluiceError): void;
}

/** A connection to one master that carries operations. Dials when it is made; once closed it stays so. */
export interface MasterLink {
  readonly address: string;
  /** Connected, and not waiting for the master to read. */
  readonly usable: boolean;
  /** Sent and not answered: the link adds, the listener removes. */
  readonly inFlight: CallsInFlight;
  send(calls: readonly MasterCall[]): void;
  /** Weight of the operations that were cancelled and that the master has not ended yet, as far as it says so. */
  readonly abandonedWeight: number;
  /** Nobody awaits the answer any more. */
  cancel(call: MasterCall): void;
  /** Breaks the connection without telling the listener. */
  close(): void;
}

export interface MasterLinkOptions {
  readonly address: string;
  readonly token: string | undefined;
  /** A master that was not reached in this time is taken for unreachable. */
  readonly connectTimeoutMs: number;
  /** A master that has not said anything for so long, while operations wait, is taken for hung. */
  readonly silenceMs: number;
}
