import { Client, credentials, type ServiceError } from '@grpc/grpc-js';
import type { Clock, Timers } from '../base/clock.ts';
import type { Random } from '../base/random.ts';
import { SluiceError } from '../model/errors.ts';
import type { ClusterReport, QuorumInfo } from '../model/report.ts';
import type { Codec } from './codec/codec.ts';
import { QUORUM_REPLY, REPORT_REPLY, TRANSFER_REPLY, TRANSFER_REQUEST } from './codec/report.ts';
import { callMetadata } from './credentials.ts';
import { AdminServiceService } from './gen/sluice/v1/admin.ts';
import { JournalServiceService } from './gen/sluice/v1/journal.ts';
import { CLIENT_OPTIONS, sameBytes } from './grpc-options.ts';
import { fromGrpcStatus } from './grpc-status.ts';
import { MasterList } from './master-list.ts';

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
}

const ATTEMPT_MS = 3_000;
const TIMEOUT_MS = 10_000;
const NOTHING = new Uint8Array(0);

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
   * Hands leadership to the master `to`, or to the most advanced one. Asked again, because an answer was lost, it may
   * hand leadership on once more. @returns who leads then. @throws SluiceError TIMED_OUT when nobody took over,
   * INVALID_ARGUMENT when `to` is no master.
   */
  transfer(to: string | undefined): Promise<string> {
    return this.#ask(JournalServiceService.transferLeadership.path, TRANSFER_REPLY, TRANSFER_REQUEST.encode(to));
  }

  async #ask<T>(path: string, codec: Codec<T>, request: Uint8Array = NOTHING): Promise<T> {
    const { masters: addresses, random, clock, timers, timeoutMs = TIMEOUT_MS } = this.#options;
    const masters = new MasterList(addresses, random);
    const untilMs = clock.monotonicMs() + timeoutMs;
    for (;;) {
      const address = masters.current;
      try {
        return codec.decode(await this.#call(address, path, Buffer.from(request)));
      } catch (thrown) {
        const error = SluiceError.from(thrown);
        const waitMs = nextAfter(masters, address, error);
        if (clock.monotonicMs() + waitMs >= untilMs)
          throw new SluiceError('TIMED_OUT', `No leader among ${masters.names} answered; last: ${error.message}`, {
            cause: error,
          });
        await new Promise<void>((resolve) => timers.after(waitMs, resolve));
      }
    }
  }

  #call(address: string, path: string, request: Buffer): Promise<Buffer> {
    const { token, clock, attemptMs = ATTEMPT_MS } = this.#options;
    const client = new Client(address, credentials.createInsecure(), CLIENT_OPTIONS);
    const deadline = clock.wallMs() + attemptMs;
    return new Promise<Buffer>((resolve, reject) => {
      const done = (error: ServiceError | null, reply?: Buffer): void => {
        client.close();
        if (error === null && reply !== undefined) resolve(reply);
        else if (error !== null) reject(fromGrpcStatus(error, `Master ${address}`));
        else reject(new SluiceError('INTERNAL', `Master ${address} answered nothing`));
      };
      client.makeUnaryRequest(path, sameBytes, sameBytes, request, callMetadata(token), { deadline }, done);
    });
  }
}

/** How long to wait before the next master is asked. @throws `error` when no other master would answer better. */
function nextAfter(masters: MasterList, address: string, error: SluiceError): number {
  if (error.code === 'NOT_LEADER') {
    const hint = error.details['leader'];
    return masters.redirected(address, typeof hint === 'string' ? hint : '') ?? 0;
  }
  if (error.code === 'UNAVAILABLE' || error.code === 'TIMED_OUT') return masters.failed(address) ?? 0;
  throw error;
}
