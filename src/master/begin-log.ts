import type { LogStore } from '../raft/log-store.ts';
import type { Position, Term } from '../raft/position.ts';

/** Makes the log of a new member whose state is at `position`: an empty one behind it. @param log not open yet */
export async function beginLog(log: LogStore, position: Position, term: Term): Promise<void> {
  await log.open();
  try {
    await log.write({ ballot: { term, votedFor: undefined }, entries: [], commit: 0 });
    await log.reset(position);
  } finally {
    await log.close();
  }
}
