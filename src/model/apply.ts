import { unreachable } from '../base/assert.ts';
import { applySetAttributes } from './apply-attributes.ts';
import { ApplyContext, DONE, type Result } from './apply-context.ts';
import { applyDelete, applyPurge } from './apply-delete.ts';
import { applyMakeDirectory } from './apply-directory.ts';
import { applyCompleteFile, applyCreateFile } from './apply-file.ts';
import { applyFormat } from './apply-format.ts';
import { applyLoadMetadata } from './apply-load.ts';
import { applyMount, applyUnmount } from './apply-mount.ts';
import { applyRename } from './apply-rename.ts';
import { admit, applyExpireSessions, remember } from './apply-session.ts';
import { applyRegisterWorker, applySetWorkerState } from './apply-worker.ts';
import type { Applied, Command, FormatCommand, Outcome, StampedCommand } from './command.ts';
import { notFormatted } from './namespace.ts';
import { isRefusal } from './refusal.ts';
import type { StateStore } from './state-store.ts';

type OrdinaryCommand = Exclude<Command, FormatCommand>;

/**
 * Applies a committed command to the replicated state: the same state and the same command give the same state, outcome
 * and notices on every master. A refusal is an outcome; it changes nothing but log time and the client's session. A
 * request that ran before is answered as then and changes nothing.
 * @throws AssertionError when the state is broken; the process must stop.
 */
export function apply(store: StateStore, stamped: StampedCommand): Applied {
  const { command, requestId } = stamped;
  const counters = store.get('counters', '');
  if (command.kind === 'format') return { outcome: outcomeOf(applyFormat(store, stamped.atMs, command)), notices: [] };
  if (counters === undefined) return { outcome: { kind: 'refused', refusal: notFormatted() }, notices: [] };

  const logTimeMs = Math.max(counters.logTimeMs, stamped.atMs);
  const context = new ApplyContext(store, stamped.principal, counters, logTimeMs);
  const outcome = requestId === undefined ? run(context, command) : runOnce(context, command, requestId);
  store.put('counters', '', context.counters);
  return { outcome, notices: context.notices };
}

function runOnce(
  context: ApplyContext,
  command: OrdinaryCommand,
  id: NonNullable<StampedCommand['requestId']>,
): Outcome {
  const admission = admit(context.store, id);
  if (admission.kind === 'remembered') return admission.outcome;
  if (admission.kind === 'refused') return admission;
  const outcome = run(context, command);
  remember(context, id, admission.session, outcome);
  return outcome;
}

function run(context: ApplyContext, command: OrdinaryCommand): Outcome {
  return outcomeOf(dispatch(context, command));
}

function outcomeOf(result: Result): Outcome {
  return isRefusal(result) ? { kind: 'refused', refusal: result } : result;
}

function dispatch(context: ApplyContext, command: OrdinaryCommand): Result {
  switch (command.kind) {
    case 'createFile':
      return applyCreateFile(context, command);
    case 'completeFile':
      return applyCompleteFile(context, command);
    case 'makeDirectory':
      return applyMakeDirectory(context, command);
    case 'delete':
      return applyDelete(context, command);
    case 'rename':
      return applyRename(context, command);
    case 'setAttributes':
      return applySetAttributes(context, command);
    case 'mount':
      return applyMount(context, command);
    case 'unmount':
      return applyUnmount(context, command);
    case 'loadMetadata':
      return applyLoadMetadata(context, command);
    case 'purge':
      return applyPurge(context, command);
    case 'registerWorker':
      return applyRegisterWorker(context, command);
    case 'setWorkerState':
      return applySetWorkerState(context, command);
    case 'expireSessions':
      return applyExpireSessions(context, command);
    case 'takeDigest':
    case 'judgeDigests':
      context.notify(command);
      return DONE;
    default:
      return unreachable(command);
  }
}
