import type { SluiceError } from '../model/errors.ts';
import type { MasterCall, MasterLink } from './master-link.ts';

/** An operation that somebody waits for. */
export interface WaitingCall extends MasterCall {
  resolve(reply: unknown): void;
  reject(error: SluiceError): void;
  /** Stops listening to the caller's signal. */
  release: (() => void) | undefined;
  /** How often it was put off. */
  tries: number;
  /** It was sent again: what a master says of it need not be what became of it before. */
  sentAgain: boolean;
  /** The link that it is in flight on. */
  link: MasterLink | undefined;
}

/** A mutation that some master may have seen has an unknown fate when it is given up. */
export function fateOf(call: MasterCall): { readonly details?: { readonly fate: string } } {
  return call.sent && call.session !== undefined ? { details: { fate: 'unknown' } } : {};
}
