import type { CancelTimer, Clock } from '../base/clock.ts';
import { ERROR_TABLE, SluiceError } from '../model/errors.ts';
import { MUTATIONS, type OperationName, type Operations, STANDBY_READS } from '../model/operations.ts';
import { checkRoom } from './call-room.ts';
import type { CallOptions, MetadataChannelOptions } from './channel-options.ts';
import { ClientSession } from './client-session.ts';
import { OPERATION_CODECS } from './codec/operation.ts';
import type { SessionReply } from './codec/session-frame.ts';
import { checkPrincipal } from './credentials.ts';
import { isTransportError } from './grpc-status.ts';
import type { MasterLink, MasterLinkListener } from './master-link.ts';
import { MasterLinks } from './master-links.ts';
import { MasterList } from './master-list.ts';
import { CLIENT_TOTAL_WEIGHT_MAX, CLIENT_WEIGHT_MAX, operationWeight } from './operation-weight.ts';
import { ReadChoice } from './read-choice.ts';
import { SilenceNotice } from './silence-notice.ts';
import { StreamLink } from './stream-link.ts';
import { UnaryLink } from './unary-link.ts';
import { fateOf, type WaitingCall } from './waiting-call.ts';

const TIMEOUT_MS = 30_000;
const CONNECT_TIMEOUT_MS = 1_000;
const SILENCE_MS = 400;
const SWEEP_MIN_MS = 5;
const RETRY_FIRST_MS = 10;
const RETRY_MAX_MS = 250;
const MUTATING: ReadonlySet<OperationName> = new Set(MUTATIONS);
const ANYWHERE: ReadonlySet<OperationName> = new Set(STANDBY_READS);

/**
 * The client's way to the masters. Finds the leader and follows it; sends what was not answered to the next one,
 * mutations under the same request id, so that each takes effect once however often it is sent.
 *
 * Errors of `call` beyond those of the operation: TIMED_OUT and CANCELLED (details `fate: 'unknown'` when the mutation
 * may still take effect or has done so), EXHAUSTED (too many calls wait), SESSION_EXPIRED (a mutation that was sent
 * again may or may not have taken effect; later calls use a new session), UNAUTHENTICATED.
 */
export class MetadataChannel implements MasterLinkListener {
  readonly #options: MetadataChannelOptions;
  readonly #clock: Clock;
  readonly #masters: MasterList;
  /** Of reads that any master may answer. */
  readonly #choice: ReadChoice;
  readonly #links: MasterLinks;
  readonly #silence: SilenceNotice;
  readonly #calls = new Map<number, WaitingCall>();
  #queue: WaitingCall[] = [];
  /** Goes before `#queue`. */
  #again: WaitingCall[] = [];
  /** For the master that was chosen for reads. */
  #reads: WaitingCall[] = [];
  #session = new ClientSession();
  /** Which cluster answers; empty before one did. */
  #cluster = '';
  #lastId = 0;
  /** Of all calls that are not answered. */
  #bytes = 0;
  #flushing = false;
  #cancelPause: CancelTimer | undefined;
  #cancelSweep: CancelTimer | undefined;
  #sweepMs = Infinity;
  #lastError: SluiceError | undefined;
  #closed = false;

  /** @throws SluiceError INVALID_ARGUMENT, UNAUTHENTICATED when masters or principal are none. */
  constructor(options: MetadataChannelOptions) {
    checkPrincipal(options.principal);
    this.#options = options;
    this.#clock = options.clock;
    this.#masters = new MasterList(options.masters, options.random);
    this.#choice = new ReadChoice(options.clock, options.random);
    this.#links = new MasterLinks({
      ...options,
      // An idle connection of the other kind does not notice that its master is gone.
      warm: () => (options.protocol === 'unary' ? [] : this.#masters.members),
      asks: (address) => this.#asks(address),
      dial: (address) => this.#dial(address),
    });
    this.#silence = new SilenceNotice({
      ...options,
      waiting: () => this.#calls.size > 0,
      // A master that hangs loses its link, and with it the calls.
      reached: () => [...this.#calls.values()].every(({ link }) => link !== undefined),
      reason: () => this.#lastError,
    });
  }

  /**
   * Does one operation. Calls of one event-loop turn travel together and run beside each other, in no promised order.
   */
  call<N extends OperationName>(
    name: N,
    request: Operations[N]['request'],
    options: CallOptions = {},
  ): Promise<Operations[N]['reply']> {
    return new Promise<Operations[N]['reply']>((resolve, reject) => {
      const body = OPERATION_CODECS[name].request.encode(request);
      this.#checkRoom(name, body, options.signal);
      const principal = options.principal === undefined ? this.#options.principal : checkPrincipal(options.principal);
      const session = MUTATING.has(name) ? this.#session : undefined;
      const { signal } = options;
      const call: WaitingCall = {
        id: ++this.#lastId,
        name,
        body,
        principal,
        session,
        sequence: session?.next() ?? 0,
        deadlineMs: this.#clock.monotonicMs() + (options.timeoutMs ?? this.#options.timeoutMs ?? TIMEOUT_MS),
        weight: operationWeight(name),
        anyMaster: this.#options.readFrom === 'any' && ANYWHERE.has(name) && !asksUfs(request),
        sent: false,
        settled: false,
        tries: 0,
        sentAgain: false,
        link: undefined,
        resolve: resolve as (reply: unknown) => void,
        reject,
        release: undefined,
      };
      if (signal !== undefined) {
        const abandon = (): void => this.#abandon(call);
        signal.addEventListener('abort', abandon, { once: true });
        call.release = () => signal.removeEventListener('abort', abandon);
      }
      this.#calls.set(call.id, call);
      this.#silence.asks(this.#calls.size === 1);
      this.#bytes += body.length;
      (call.anyMaster ? this.#reads : this.#queue).push(call);
      this.#sweepBy(call.deadlineMs);
      this.#scheduleFlush();
    });
  }

  /** Breaks all connections; what waits for an answer fails with CANCELLED. */
  close(): Promise<void> {
    this.#closed = true;
    this.#cancelPause?.();
    this.#cancelSweep?.();
    this.#silence.close();
    this.#links.close();
    this.#rejectAll(new SluiceError('CANCELLED', 'The connection to the masters was closed'));
    return Promise.resolve();
  }

  linkOpened(cluster: string): void {
    if (cluster === '' || cluster === this.#cluster) return;
    const changed = this.#cluster !== '';
    this.#cluster = cluster;
    if (!changed) return;
    this.#options.logger.info({ cluster }, 'another cluster answers, perhaps restored from a backup');
    this.#masters.forget();
    this.#retire(this.#session);
    this.#options.clusterChanged?.();
  }

  linkUsable(): void {
    this.#flush();
  }

  linkLearned(masters: readonly string[]): void {
    this.#masters.learn(masters);
  }

  linkReplied(link: MasterLink, replies: readonly SessionReply[]): void {
    for (const reply of replies) {
      const call = this.#calls.get(reply.id);
      if (call === undefined || call.link !== link) continue;
      this.#recall(call);
      if (reply.name === 'refusal') this.#refused(link, call, SluiceError.of(reply.refusal));
      else {
        this.#answered(link, call);
        this.#done(call, reply.name, reply.body);
      }
    }
    this.#scheduleFlush();
  }

  linkClosed(link: MasterLink, error: SluiceError): void {
    this.#options.logger.debug({ master: link.address, err: error }, 'connection to a master broke');
    this.#links.forget(link);
    const owed = link.inFlight.all() as readonly WaitingCall[];
    if (owed.length > 0 || this.#asks(link.address)) this.#lastError = error;
    const hopeless =
      link.address === this.#masters.current && !isTransportError(error) && ERROR_TABLE[error.code].retry === 'never';
    if (hopeless) this.#rejectAll(error);
    const led = owed.some(({ anyMaster }) => !anyMaster);
    for (const call of owed) {
      if (call.settled) continue;
      this.#recall(call);
      this.#toLeader(call);
    }
    this.#choice.failed(link.address);
    const delayMs = this.#masters.failed(link.address);
    // It served until now, and any of the others may be the next to: they are dialed beside each other.
    if (led && !hopeless) for (const address of this.#masters.notFailed()) this.#links.to(address);
    this.#pause(delayMs);
  }

  #checkRoom(name: OperationName, body: Uint8Array, signal: AbortSignal | undefined): void {
    if (this.#closed)
      throw new SluiceError('CANCELLED', `The connection to the masters is closed: ${name} was not sent`);
    if (signal?.aborted) throw new SluiceError('CANCELLED', `The caller gave up before ${name} was sent`);
    checkRoom(name, body.length, { calls: this.#calls.size, bytes: this.#bytes });
  }

  #done(call: WaitingCall, name: OperationName, body: Uint8Array): void {
    try {
      if (name !== call.name) throw new SluiceError('INTERNAL', `The answer to ${call.name} is one to ${name}`);
      const reply = OPERATION_CODECS[name].reply.decode(body);
      if (call.sequence === 1 && call.session !== undefined) call.session.opened = true;
      this.#settle(call);
      call.resolve(reply);
    } catch (thrown) {
      this.#settle(call);
      call.reject(SluiceError.from(thrown, 'INTERNAL'));
    }
  }

  #refused(link: MasterLink, call: WaitingCall, refusal: SluiceError): void {
    // A standby that does not know this client's token is no better.
    if (refusal.code === 'NOT_LEADER' || (call.anyMaster && refusal.code === 'UNAUTHENTICATED')) {
      this.#lastError = refusal;
      if (call.anyMaster) this.#choice.failed(link.address);
      this.#toLeader(call);
      this.#pause(this.#masters.redirected(link.address, refusal.details));
      return;
    }
    const fateUnknown = refusal.details['fate'] === 'unknown' || isTransportError(refusal);
    // A UFS that is away is no reason to ask the masters until the time is over.
    const mayPass = refusal.code === 'UNAVAILABLE' && refusal.details['ufs'] === undefined;
    if (mayPass && (call.session === undefined || fateUnknown)) {
      this.#lastError = refusal;
      this.#later(call);
      return;
    }
    this.#answered(link, call);
    if (refusal.code === 'SESSION_EXPIRED' && call.session !== undefined) {
      this.#retire(call.session);
      if (!call.sentAgain) {
        // Nobody had seen it before, so it has not taken effect: the client was silent for longer than sessions live.
        call.sent = false;
        this.#toLeader(call);
        return;
      }
    }
    this.#settle(call);
    call.reject(refusal);
  }

  #answered(link: MasterLink, call: WaitingCall): void {
    this.#lastError = undefined;
    this.#links.answered();
    this.#silence.heard();
    // A standby may have answered the others.
    if (!call.anyMaster) this.#masters.answered(link.address);
  }

  /** Sends `call` again, to nobody but the leader. */
  #toLeader(call: WaitingCall): void {
    call.anyMaster = false;
    this.#again.push(call);
  }

  /** Sends `call` again after a while that grows with each time. */
  #later(call: WaitingCall): void {
    const delayMs = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(call.tries, 10));
    call.tries += 1;
    this.#options.timers.after(delayMs * (0.5 + this.#options.random.next() / 2), () => {
      if (call.settled) return;
      this.#toLeader(call);
      this.#flush();
    });
  }

  /** Takes `call` off its link. */
  #recall(call: WaitingCall): void {
    if (call.link === undefined) return;
    call.link.inFlight.delete(call);
    call.link = undefined;
  }

  /** Forgets a call that is answered or given up. */
  #settle(call: WaitingCall): void {
    if (call.settled) return;
    call.settled = true;
    call.release?.();
    this.#recall(call);
    this.#calls.delete(call.id);
    this.#bytes -= call.body.length;
    // It may have left room for others on its link.
    this.#scheduleFlush();
    const session = call.session;
    if (session === undefined) return;
    session.settled(call.sequence);
    // Number 1 failed, so the masters may not know the session; nothing else was sent in it.
    if (call.sequence === 1 && !session.opened) this.#retire(session);
    const [first] = session.held;
    if (first !== undefined && session.admits(first.sequence)) this.#release(session);
  }

  /** Sends what the session held. */
  #release(session: ClientSession): void {
    this.#queue = (session.held as WaitingCall[]).concat(this.#queue);
    session.held = [];
    this.#scheduleFlush();
  }

  #retire(session: ClientSession): void {
    session.retired = true;
    if (this.#session === session) this.#session = new ClientSession();
    this.#release(session);
  }

  #abandon(call: WaitingCall): void {
    if (call.settled) return;
    call.link?.cancel(call);
    this.#settle(call);
    call.reject(new SluiceError('CANCELLED', `The caller gave up ${call.name}`, fateOf(call)));
  }

  #rejectAll(error: SluiceError): void {
    for (const call of [...this.#calls.values()]) {
      this.#settle(call);
      const { details } = fateOf(call);
      const { code, message } = error;
      call.reject(
        details === undefined
          ? error
          : new SluiceError(code, message, { details: { ...error.details, ...details }, cause: error }),
      );
    }
  }

  #scheduleFlush(): void {
    const waiting = this.#queue.length + this.#again.length + this.#reads.length;
    if (this.#flushing || this.#closed || waiting === 0) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  /** Sends what may be sent now. */
  #flush(): void {
    if (this.#closed) return;
    if (this.#reads.length > 0) this.#flushReads();
    if (this.#cancelPause !== undefined) return;
    if (this.#again.length > 0) this.#queue = this.#again.concat(this.#queue);
    this.#again = [];
    if (this.#queue.length === 0) return;
    const link = this.#links.to(this.#masters.current);
    if (!link.usable) return;
    const { batch, rest } = this.#take(link, this.#queue);
    this.#queue = rest;
    if (batch.length > 0) link.send(batch);
  }

  /** Sends reads to the master that was chosen for them, or, when it is none or not to be had, to the leader. */
  #flushReads(): void {
    const { addresses, current } = this.#masters;
    const chosen = this.#choice.choose(addresses);
    const link = chosen === undefined || chosen === current ? undefined : this.#links.to(chosen);
    if (link?.usable) {
      const { batch, rest } = this.#take(link, this.#reads);
      this.#reads = rest;
      if (batch.length > 0) link.send(batch);
      return;
    }
    // Nobody waits for a connection while there is another one.
    if (link !== undefined && this.#links.get(current)?.usable !== true) return;
    for (const call of this.#reads) call.anyMaster = false;
    this.#queue = this.#queue.concat(this.#reads);
    this.#reads = [];
  }

  /** Takes from `calls` what may be sent on `link` now. */
  #take(link: MasterLink, calls: WaitingCall[]): { readonly batch: WaitingCall[]; readonly rest: WaitingCall[] } {
    const batch: WaitingCall[] = [];
    let next = 0;
    let { weight } = link.inFlight;
    const most = Math.min(CLIENT_WEIGHT_MAX, CLIENT_TOTAL_WEIGHT_MAX - link.abandonedWeight);
    for (; next < calls.length && weight < most; next += 1) {
      const call = calls[next];
      if (call === undefined || call.settled || !this.#admit(call)) continue;
      call.link = link;
      call.sentAgain = call.sent;
      weight += call.weight;
      batch.push(call);
    }
    return { batch, rest: next === calls.length ? [] : calls.slice(next) };
  }

  /** Whether `call` may be sent now; if not, its session holds it. */
  #admit(call: WaitingCall): boolean {
    if (call.session === undefined) return true;
    if (call.session.retired && !call.sent) {
      call.session.settled(call.sequence);
      call.session = this.#session;
      call.sequence = call.session.next();
    }
    if (call.sent || call.session.admits(call.sequence)) return true;
    call.session.held.push(call);
    return false;
  }

  #dial(address: string): MasterLink {
    const options = {
      address,
      token: this.#options.token,
      connectTimeoutMs: this.#options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
      silenceMs: this.#options.silenceMs ?? SILENCE_MS,
    };
    return this.#options.protocol === 'unary'
      ? new UnaryLink(options, this.#options, this)
      : new StreamLink(options, this.#options.principal, this.#options, this);
  }

  /** Whether operations go to `address` at present. */
  #asks(address: string): boolean {
    return address === this.#masters.current || address === this.#choice.current;
  }

  /** Waits before the next master is asked. */
  #pause(delayMs: number | undefined): void {
    if (delayMs === undefined || delayMs === 0 || this.#cancelPause !== undefined) {
      this.#scheduleFlush();
      return;
    }
    this.#cancelPause = this.#options.timers.after(delayMs, () => {
      this.#cancelPause = undefined;
      this.#flush();
    });
  }

  /** Makes sure that calls are looked through at `deadlineMs`. */
  #sweepBy(deadlineMs: number): void {
    if (deadlineMs >= this.#sweepMs || deadlineMs === Infinity) return;
    this.#cancelSweep?.();
    this.#sweepMs = deadlineMs;
    const delayMs = Math.max(SWEEP_MIN_MS, Math.ceil(deadlineMs - this.#clock.monotonicMs()));
    this.#cancelSweep = this.#options.timers.after(Math.min(delayMs, 0x7fffffff), () => this.#sweep());
  }

  #sweep(): void {
    this.#cancelSweep = undefined;
    this.#sweepMs = Infinity;
    const now = this.#clock.monotonicMs();
    let earliest = Infinity;
    for (const call of [...this.#calls.values()]) {
      if (call.deadlineMs > now) earliest = Math.min(earliest, call.deadlineMs);
      else this.#expire(call);
    }
    this.#sweepBy(earliest);
  }

  #expire(call: WaitingCall): void {
    call.link?.cancel(call);
    if (call.anyMaster && call.link !== undefined) this.#choice.failed(call.link.address);
    const asked = call.link !== undefined || call.sent;
    const what = asked ? `${call.name} was not answered in time by` : `${call.name} could not be sent in time to`;
    this.#settle(call);
    const last = this.#lastError === undefined ? '' : `; the last error was: ${this.#lastError.message}`;
    const message = `${what} any of the masters ${this.#masters.names} (client.masters)${last}`;
    call.reject(new SluiceError('TIMED_OUT', message, { ...fateOf(call), cause: this.#lastError }));
  }
}

/** Whether the answer depends on a look at the UFS, which only the leader does. */
function asksUfs(request: Operations[OperationName]['request']): boolean {
  return 'sync' in request && request.sync === true;
}
