import { type ErrorDetails, isErrorCode, type Refusal } from '../../model/errors.ts';
import { type Detail, Refusal as RefusalMessage } from '../gen/sluice/v1/model.ts';
import { messageCodec } from './codec.ts';

function toDetail([name, value]: [string, string | number | boolean]): Detail {
  switch (typeof value) {
    case 'string':
      return { name, value: { $case: 'text', value } };
    case 'number':
      return { name, value: { $case: 'number', value } };
    default:
      return { name, value: { $case: 'flag', value } };
  }
}

function toRefusalMessage(refusal: Refusal): RefusalMessage {
  return {
    code: refusal.code,
    message: refusal.message,
    details: Object.entries(refusal.details ?? {}).map(toDetail),
  };
}

function fromRefusalMessage(message: RefusalMessage): Refusal {
  const details: ErrorDetails = Object.fromEntries(
    message.details.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value.value]])),
  );
  return isErrorCode(message.code)
    ? { code: message.code, message: message.message, details }
    : { code: 'INTERNAL', message: `${message.code}: ${message.message}`, details };
}

/** Refusals; a code that this program does not know becomes INTERNAL, and its name goes into the message. */
export const REFUSAL = messageCodec(RefusalMessage, toRefusalMessage, fromRefusalMessage);
