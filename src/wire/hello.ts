import { callMaster, type MasterCall } from './call-master.ts';
import { HELLO_REPLY, HELLO_REQUEST } from './codec/greeting.ts';
import { RaftServiceService } from './gen/sluice/v1/raft.ts';
import type { Greeting } from './greeting.ts';
import type { GrpcService, UnaryMethod } from './grpc-server.ts';

/** Answers masters that ask who is here. */
export function helloService(answer: (sender: Greeting) => Greeting): GrpcService {
  const method: UnaryMethod = async (request) => HELLO_REPLY.encode(answer(HELLO_REQUEST.decode(request)));
  return { unary: new Map([[RaftServiceService.hello.path, method]]) };
}

/** Asks the master at `address` who it is. @throws SluiceError when nobody, or no master, answers in time */
export async function sayHello(
  sender: Greeting,
  to: Pick<MasterCall, 'address' | 'token' | 'deadlineMs'>,
): Promise<Greeting> {
  const path = RaftServiceService.hello.path;
  return HELLO_REPLY.decode(await callMaster({ ...to, path, request: HELLO_REQUEST.encode(sender) }));
}
