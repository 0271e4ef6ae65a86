import { type Applied, JournalNode, type NodeOptions } from './journal-node.ts';
import { percentile } from './measure.ts';

/*
 * A process with one member of the journal's bench. It is told what to do by its parent, and answers each message with
 * one. Load is made in here: what is measured begins and ends in the leader's event loop.
 */

export interface LoadRequest {
  readonly kind: 'load';
  readonly inFlight: number;
  readonly commandBytes: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
}

export type MemberRequest =
  | ({ readonly kind: 'start'; readonly peers: readonly (readonly [string, string])[] } & Omit<NodeOptions, 'peers'>)
  | { readonly kind: 'status' }
  | LoadRequest
  | { readonly kind: 'close' };

export interface MemberStatus extends Applied {
  readonly leading: boolean;
}

export interface LoadReport {
  readonly done: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Synced writes of the leader's log meanwhile. */
  readonly writes: number;
}

/** Latencies that are kept; of more, each n-th. */
const MAX_SAMPLES = 4_000_000;

let node: JournalNode | undefined;

function started(): JournalNode {
  if (node === undefined) throw new Error('This member was not started');
  return node;
}

/** Keeps so many proposals in flight: for each that is applied, the next one. */
function load({ inFlight, commandBytes, warmUpMs, measureMs }: LoadRequest): Promise<LoadReport> {
  const leader = started();
  return new Promise((resolve) => {
    const begun = new Float64Array(inFlight);
    const latencies = new Float64Array(MAX_SAMPLES);
    let oldest = 0;
    let done = 0;
    let number = 0;
    let from = performance.now() + warmUpMs;
    let measuring = false;
    let ending = false;
    let writes = 0;
    const propose = (count: number): void => {
      const now = performance.now();
      const commands: Uint8Array[] = [];
      for (let i = 0; i < count; i += 1) {
        begun[number % inFlight] = now;
        const command = Buffer.alloc(commandBytes, 0x5a);
        command.writeUIntBE(number, 0, 6);
        commands.push(command);
        number += 1;
      }
      leader.propose(commands);
    };
    leader.onApplied = (count) => {
      const now = performance.now();
      for (let i = 0; i < count; i += 1) {
        if (measuring && done < MAX_SAMPLES) latencies[done] = now - (begun[oldest % inFlight] as number);
        if (measuring) done += 1;
        oldest += 1;
      }
      if (ending) return;
      if (!measuring && now >= from) {
        measuring = true;
        from = now;
        writes = leader.writes;
      } else if (measuring && now - from >= measureMs) {
        ending = true;
        leader.onApplied = undefined;
        const sorted = latencies.subarray(0, Math.min(done, MAX_SAMPLES)).sort();
        const [p50Ms, p99Ms] = [percentile(sorted, 0.5), percentile(sorted, 0.99)];
        resolve({ done, seconds: (now - from) / 1000, p50Ms, p99Ms, writes: leader.writes - writes });
        return;
      }
      propose(count);
    };
    propose(inFlight);
  });
}

async function perform(request: MemberRequest): Promise<unknown> {
  switch (request.kind) {
    case 'start':
      node = await JournalNode.start({ ...request, peers: new Map(request.peers) }, (error) => {
        process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
        process.exit(70);
      });
      return true;
    case 'status':
      return { ...started().applied, leading: started().leading } satisfies MemberStatus;
    case 'load':
      return load(request);
    case 'close':
      await started().close();
      return true;
  }
}

process.on('message', (request: MemberRequest) => {
  perform(request).then(
    (answer) => {
      process.send?.(answer);
      if (request.kind === 'close') process.disconnect();
    },
    (error: unknown) => {
      process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
      process.exit(70);
    },
  );
});
