import { assert } from '../base/assert.ts';
import type { Outcome } from '../model/command.ts';
import { SluiceError } from '../model/errors.ts';
import type { Mount } from '../model/mount.ts';
import { visibleOptions } from '../model/mount.ts';
import { type FileStatus, fileStatus } from '../model/status.ts';

/** The status of what a command made or changed. @throws SluiceError when it was refused */
export function statusOfOutcome(outcome: Outcome): FileStatus {
  if (outcome.kind === 'refused') throw SluiceError.of(outcome.refusal);
  assert(outcome.kind === 'inode', 'The command answers with an inode');
  return fileStatus(outcome);
}

/** @throws SluiceError when the command was refused */
export function requireDone(outcome: Outcome): void {
  if (outcome.kind === 'refused') throw SluiceError.of(outcome.refusal);
}

/** The mount that a command made, without its secrets. @throws SluiceError when it was refused */
export function mountOfOutcome(outcome: Outcome): Mount {
  if (outcome.kind === 'refused') throw SluiceError.of(outcome.refusal);
  assert(outcome.kind === 'mount', 'The command answers with a mount');
  return { ...outcome.mount, options: visibleOptions(outcome.mount.options) };
}
