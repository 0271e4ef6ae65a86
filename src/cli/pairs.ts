import { SluiceError } from '../model/errors.ts';

/** `key=value` texts as an object. @throws SluiceError INVALID_ARGUMENT */
export function pairs(texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const at = text.indexOf('=');
      if (at < 1) throw new SluiceError('INVALID_ARGUMENT', `${text} must be key=value`);
      return [text.slice(0, at), text.slice(at + 1)];
    }),
  );
}
