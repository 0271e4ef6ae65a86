import type { DataFolder } from '../host/data-folder.ts';
import { GrpcServer } from '../wire/grpc-server.ts';
import { helloService } from '../wire/hello.ts';
import { startingService } from '../wire/starting-service.ts';
import { AwaitedBirth, type BirthParts } from './await-birth.ts';
import { type BornBinding, writeBinding } from './folder-binding.ts';
import { splitAddress } from './member-addresses.ts';
import { claimFolder } from './member-folder.ts';

export interface SettleParts extends Omit<BirthParts, 'binding'> {
  readonly folder: DataFolder;
  /** Address to listen on. */
  readonly host: string;
  /** Gives up waiting. */
  readonly signal: AbortSignal;
  /** Says what is waited for, whenever it is asked. */
  waiting(reason: () => string): void;
}

/**
 * Which member of which cluster this master is. With an empty folder it says hello to the others, and answers them,
 * until that is known; then the folder is bound to it.
 * @throws SluiceError as `claimFolder`; CANCELLED; UNAVAILABLE when its address is taken
 */
export async function settleMember(parts: SettleParts): Promise<BornBinding> {
  const { folder, place, host, token, timers, signal } = parts;
  const bound = await claimFolder(folder, place);
  if (bound.state !== 'unborn') return bound;
  const birth = new AwaitedBirth({ ...parts, binding: bound });
  const giveUp = () => birth.giveUp();
  signal.addEventListener('abort', giveUp);
  if (signal.aborted) giveUp();
  parts.waiting(() => birth.reason);
  const services = [helloService((sender) => birth.answer(sender)), startingService(() => birth.reason)];
  const { port } = splitAddress(place.address);
  let server: GrpcServer | undefined;
  try {
    // Alone, nobody is waited for.
    if (place.others.size > 0) server = await GrpcServer.start({ host, port, token, services, timers });
    const born = await birth.settled;
    await writeBinding(folder, born);
    return born;
  } finally {
    giveUp();
    signal.removeEventListener('abort', giveUp);
    await server?.close();
  }
}
