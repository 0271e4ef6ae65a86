/** One call of one client, as that client saw it. */
export interface Operation<Input, Outcome> {
  readonly input: Input;
  /** Undefined when no answer came: it may have taken effect at any time after the call, or never. */
  readonly outcome: Outcome | undefined;
  /** Any clock that all clients of the history share; calls and returns at the same time overlap. */
  readonly calledAt: number;
  /** Ignored when the outcome is unknown. */
  readonly returnedAt: number;
}

/** A sequential object: what each call does to it when nobody else is there. */
export interface SequentialModel<State, Input, Outcome> {
  readonly initial: State;
  apply(state: State, input: Input): { readonly state: State; readonly outcome: Outcome };
  /** Equal for equal states, and for no others. */
  describe(state: State): string;
}

/** One end of an operation in the doubly linked list of what has no place in the order yet. */
interface Event {
  readonly operation: number;
  readonly isCall: boolean;
  previous: Event | undefined;
  next: Event | undefined;
  /** The other end; undefined for a call whose outcome is unknown. */
  partner: Event | undefined;
}

interface Choice<State> {
  readonly call: Event;
  readonly stateBefore: State;
}

/**
 * Whether one order of the operations exists that the model allows and that respects their times: the search of Wing
 * and Gong with Lowe's memo of (operations placed, state), "Testing for linearizability", 2017, section 4. Each
 * operation with a known outcome must be placed; the others may be. Many of these would make the search explode, so they
 * are tried last, never where they change nothing, and, of equal ones, the one that was called first.
 */
export function isLinearizable<State, Input, Outcome extends string>(
  model: SequentialModel<State, Input, Outcome>,
  history: readonly Operation<Input, Outcome>[],
): boolean {
  const head = eventsOf(history);
  const before = equalsBefore(history);
  const seen = new Set<string>();
  const choices: Choice<State>[] = [];
  let state = model.initial;
  let placed = 0n;
  let missing = history.filter(({ outcome }) => outcome !== undefined).length;
  let event = head.next;
  while (missing > 0) {
    if (event?.isCall === true) {
      const { input, outcome } = history[event.operation] as Operation<Input, Outcome>;
      const after = model.apply(state, input);
      const described = model.describe(after.state);
      const equal = before[event.operation];
      const mayCome =
        outcome === undefined
          ? described !== model.describe(state) && (equal === undefined || (placed & (1n << BigInt(equal))) !== 0n)
          : outcome === after.outcome;
      const nowPlaced = placed | (1n << BigInt(event.operation));
      const key = `${nowPlaced.toString(36)} ${described}`;
      if (mayCome && !seen.has(key)) {
        seen.add(key);
        choices.push({ call: event, stateBefore: state });
        takeOut(event);
        state = after.state;
        placed = nowPlaced;
        if (outcome !== undefined) missing -= 1;
        event = head.next;
      } else event = event.next;
      continue;
    }
    // Somebody had an answer here, whose operation found no place before it: the last choice was wrong.
    const choice = choices.pop();
    if (choice === undefined) return false;
    putBack(choice.call);
    state = choice.stateBefore;
    placed &= ~(1n << BigInt(choice.call.operation));
    if (choice.call.partner !== undefined) missing += 1;
    event = choice.call.next;
  }
  return true;
}

/** @returns a head before the first event. */
function eventsOf<Input, Outcome>(history: readonly Operation<Input, Outcome>[]): Event {
  const timed: { readonly at: number; readonly event: Event }[] = [];
  for (const [operation, { outcome, calledAt, returnedAt }] of history.entries()) {
    const call = newEvent(operation, true);
    timed.push({ at: calledAt, event: call });
    if (outcome === undefined) continue;
    if (returnedAt < calledAt) throw new RangeError(`Operation ${operation} returned before it was called`);
    call.partner = newEvent(operation, false);
    call.partner.partner = call;
    timed.push({ at: returnedAt, event: call.partner });
  }
  timed.sort((a, b) => a.at - b.at || Number(b.event.isCall) - Number(a.event.isCall));
  const head = newEvent(-1, false);
  let last = head;
  const add = (event: Event): void => {
    last.next = event;
    event.previous = last;
    last = event;
  };
  // Whose outcome is unknown need not come before the next return, and comes behind the others until then.
  const unknown: Event[] = [];
  for (const { event } of timed) {
    if (event.isCall && event.partner === undefined) unknown.push(event);
    else {
      if (!event.isCall) for (const each of unknown.splice(0)) add(each);
      add(event);
    }
  }
  return head;
}

/** For each operation without an outcome the last one before it that was called with the same input and has none. */
function equalsBefore<Input, Outcome>(history: readonly Operation<Input, Outcome>[]): (number | undefined)[] {
  const order = [...history.keys()].sort((a, b) => (history[a]?.calledAt ?? 0) - (history[b]?.calledAt ?? 0));
  const last = new Map<string, number>();
  const before: (number | undefined)[] = [];
  for (const operation of order) {
    const { input, outcome } = history[operation] as Operation<Input, Outcome>;
    if (outcome !== undefined) continue;
    const key = JSON.stringify(input);
    before[operation] = last.get(key);
    last.set(key, operation);
  }
  return before;
}

function newEvent(operation: number, isCall: boolean): Event {
  return { operation, isCall, previous: undefined, next: undefined, partner: undefined };
}

function takeOut(call: Event): void {
  unlink(call);
  if (call.partner !== undefined) unlink(call.partner);
}

/** The reverse of `takeOut`, in the reverse order: each end still knows its neighbours. */
function putBack(call: Event): void {
  if (call.partner !== undefined) link(call.partner);
  link(call);
}

function unlink({ previous, next }: Event): void {
  if (previous !== undefined) previous.next = next;
  if (next !== undefined) next.previous = previous;
}

function link(event: Event): void {
  if (event.previous !== undefined) event.previous.next = event;
  if (event.next !== undefined) event.next.previous = event;
}
