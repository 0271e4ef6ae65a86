import type { Clock, Timers } from '../base/clock.ts';
import type { Random } from '../base/random.ts';
import type { Logger } from '../host/logger.ts';
import { SluiceError } from '../model/errors.ts';
import type { AddMember, AddProgress, RemoveMember } from '../model/membership-change.ts';
import type { ClusterReport, DigestRound, QuorumInfo } from '../model/report.ts';
import { callMaster } from './call-master.ts';
import type { Codec } from './codec/codec.ts';
import { COMPARISON_REPLY } from './codec/comparison.ts';
import {
  ADD_REPLY,
  ADD_REQUEST,
  PREFER_REPLY,
  PREFER_REQUEST,
  REMOVE_REPLY,
  REMOVE_REQUEST,
} from './codec/membership-change.ts';
import { QUORUM_REPLY, REPORT_REPLY, TRANSFER_REPLY, TRANSFER_REQUEST } from './codec/report.ts';
import { AdminServiceService } from './gen/sluice/v1/admin.ts';
import { JournalServiceService } from './gen/sluice/v1/journal.ts';
import { isTransportError } from './grpc-status.ts';
import { MasterList } from './master-list.ts';
import { SilenceNotice } from './silence-notice.ts';

export interface AdminChannelOptions {
  /** `host:port` of every master. */
  readonly masters: readonly string[];
  readonly token?: string;
  /** How long one master may take to answer. */
  readonly attemptMs?: number;
  /** How long to look for a master that answers. */
  readonly timeoutMs?: number;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  /** Hears when masters do not answer for a while. */
  readonly logger?: Logger;
  /** Gives up whatever is being asked. What was asked for may be done nevertheless. */
  readonly signal?: AbortSignal;
}

const ATTEMPT_MS = 3_000;
const TIMEOUT_MS = 10_000;
const NOTHING = new Uint8Array(0);

/** Told when a master was reached that may take long to do what it is asked. */
type Connected = () => void;

/** An operator's way to the masters: rare calls, each with a connection of its own. */
export class AdminChannel {
  readonly #options: AdminChannelOptions;

  constructor(options: AdminChannelOptions) {
    this.#options = options;
  }

  /** The cluster as the leader sees it. @throws SluiceError TIMED_OUT when no leader was found. */
  report(): Promise<ClusterReport> {
    return this.#ask(AdminServiceService.getReport.path, REPORT_REPLY);
  }

  /** Raft's state as the first master that answers sees it. @throws SluiceError TIMED_OUT when none does. */
  quorum(): Promise<QuorumInfo> {
    return this.#ask(JournalServiceService.getQuorum.path, QUORUM_REPLY);
  }

  /**
   * Hands leadership to the master `to`, or to the most advanced one. The leader is given the time it takes, as long as
   * its connection lives; what it refuses ends the search. When its answer is lost, the others are asked who leads
   * before anybody is asked again. @returns who leads then. @throws SluiceError as `transferLeadership` of the masters;
   * TIMED_OUT when no leader was found.
   */
  transfer(to: string | undefined): Promise<string> {
    const request = TRANSFER_REQUEST.encode(to);
    let asked: QuorumInfo | undefined;
    return this.#search(async (address, connected) => {
      const seen = await this.#call(address, JournalServiceService.getQuorum.path, QUORUM_REPLY);
      if (asked !== undefined && seen.term > asked.term && seen.leader !== '' && seen.leader === (to ?? seen.leader))
        return seen.leader;
      try {
        const path = JournalServiceService.transferLeadership.path;
        return await this.#call(address, path, TRANSFER_REPLY, request, connected);
      } catch (thrown) {
        if (thrown instanceof SluiceError && isLostAnswer(thrown)) asked = seen;
        throw thrown;
      }
    }, isLostAnswer);
  }

  /**
   * Has the states of all masters compared; that takes as long as reading them takes. @throws SluiceError UNAVAILABLE
   * when the leader cannot now, TIMED_OUT when no leader was found.
   */
  compare(): Promise<DigestRound> {
    const path = AdminServiceService.compareStates.path;
    return this.#search(
      (address, connected) => this.#call(address, path, COMPARISON_REPLY, NOTHING, connected),
      isLostAnswer,
    );
  }

  /**
   * Asks the leader for the next step of taking a master in. @throws SluiceError as `MembershipService` does; TIMED_OUT
   * when no leader was found
   */
  add(asked: AddMember): Promise<AddProgress> {
    const path = JournalServiceService.addMember.path;
    return this.#change((address, connected) =>
      this.#call(address, path, ADD_REPLY, ADD_REQUEST.encode(asked), connected),
    );
  }

  /** Goes on without a master. @returns the names of the voters that stay. @throws SluiceError as `add` */
  remove(asked: RemoveMember): Promise<readonly string[]> {
    const path = JournalServiceService.removeMember.path;
    let before = false;
    return this.#change(async (address, connected) => {
      try {
        return await this.#call(address, path, REMOVE_REPLY, REMOVE_REQUEST.encode(asked), connected);
      } catch (thrown) {
        const error = SluiceError.from(thrown);
        // Its answer was lost, or the one that was removed gave it.
        if (error.code === 'NOT_FOUND' && before) return await this.#voters(address);
        before ||= mayBeDone(error);
        throw error;
      }
    });
  }

  /** Makes a master lead whenever it can; undefined: none is preferred. @throws SluiceError as `add` */
  prefer(name: string | undefined): Promise<void> {
    const path = JournalServiceService.preferMember.path;
    return this.#change((address, connected) =>
      this.#call(address, path, PREFER_REPLY, PREFER_REQUEST.encode(name), connected),
    );
  }

  async #voters(address: string): Promise<readonly string[]> {
    const { members } = await this.#call(address, JournalServiceService.getQuorum.path, QUORUM_REPLY);
    return members.filter(({ vote }) => vote === 'voter').map(({ id }) => id);
  }

  /** What may be asked for again, because it is done once. */
  #change<T>(attempt: (address: string, connected: Connected) => Promise<T>): Promise<T> {
    return this.#search(attempt, (error) => mayBeDone(error) || error.details['passing'] === true);
  }

  #ask<T>(path: string, codec: Codec<T>): Promise<T> {
    return this.#search((address) => this.#call(address, path, codec), isPassing);
  }

  /** Tries one master after the other until one answers; what is neither `NOT_LEADER` nor `retried` ends the search. */
  async #search<T>(
    attempt: (address: string, connected: Connected) => Promise<T>,
    retried: (error: SluiceError) => boolean,
  ): Promise<T> {
    const { masters: addresses, random, clock, timers, logger, timeoutMs = TIMEOUT_MS } = this.#options;
    const masters = new MasterList(addresses, random);
    const untilMs = clock.monotonicMs() + timeoutMs;
    let last: SluiceError | undefined;
    let reached = false;
    const said = { waiting: () => true, reached: () => reached, reason: () => last };
    const silence = logger && new SilenceNotice({ clock, timers, logger, ...said });
    silence?.asks(true);
    try {
      for (;;) {
        const address = masters.current;
        try {
          return await attempt(address, () => {
            reached = true;
          });
        } catch (thrown) {
          reached = false;
          last = SluiceError.from(thrown);
          if (last.code !== 'NOT_LEADER' && !retried(last)) throw last;
          // The leader is there, but cannot yet.
          if (last.code !== 'NOT_LEADER' && !isTransportError(last)) silence?.heard();
          const waitMs = nextAfter(masters, address, last);
          if (clock.monotonicMs() + waitMs >= untilMs)
            throw new SluiceError(
              'TIMED_OUT',
              `No leader among ${masters.names} (client.masters) answered; last: ${last.message}`,
              { cause: last },
            );
          await new Promise<void>((resolve) => timers.after(waitMs, resolve));
        }
      }
    } finally {
      silence?.close();
    }
  }

  /** @param connected the call lasts as long as its connection then: the time for an attempt is that for making it */
  async #call<T>(
    address: string,
    path: string,
    codec: Codec<T>,
    request: Uint8Array = NOTHING,
    connected?: Connected,
  ): Promise<T> {
    const { token, clock, attemptMs = ATTEMPT_MS, signal } = this.#options;
    const deadlineMs = clock.wallMs() + attemptMs;
    const limit = connected === undefined ? {} : { whileConnected: true, connected };
    return codec.decode(await callMaster({ address, token, path, request, deadlineMs, signal, ...limit }));
  }
}

/** The connection said so, not the master. */
function isLostAnswer(error: SluiceError): boolean {
  return isTransportError(error) && isPassing(error);
}

/** Whether what was asked for may have been done although it failed. */
function mayBeDone(error: SluiceError): boolean {
  return isLostAnswer(error) || error.details['fate'] === 'unknown';
}

/** Another master, or the same one later, may answer better. */
function isPassing({ code }: SluiceError): boolean {
  return code === 'UNAVAILABLE' || code === 'TIMED_OUT';
}

/** How long to wait before the next master is asked. */
function nextAfter(masters: MasterList, address: string, { code, details }: SluiceError): number {
  if (code === 'NOT_LEADER') return masters.redirected(address, details) ?? 0;
  return masters.failed(address) ?? 0;
}
