import { SluiceError } from '../../model/errors.ts';
import type { MessageFns } from '../gen/sluice/v1/model.ts';

/** Bytes of a value of the model and back. */
export interface Codec<T> {
  encode(value: T): Uint8Array;
  /**
   * @throws SluiceError INVALID_ARGUMENT when the bytes are no such value. What it returns does not share memory with
   * `bytes`.
   */
  decode(bytes: Uint8Array): T;
}

/** A codec that goes through a generated message. */
export function messageCodec<T, M>(message: MessageFns<M>, to: (value: T) => M, from: (message: M) => T): Codec<T> {
  return {
    encode: (value) => message.encode(to(value)).finish(),
    decode(bytes) {
      try {
        return from(message.decode(bytes));
      } catch (thrown) {
        throw SluiceError.from(thrown, 'INVALID_ARGUMENT', 'Malformed message');
      }
    },
  };
}
