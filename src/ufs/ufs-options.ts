import { nearest } from '../host/config/nearest.ts';
import type { OptionSet, ValuesOf } from '../host/config/option.ts';
import { SluiceError } from '../model/errors.ts';

/**
 * The values of a scheme's options; what is not given has its default.
 * @throws INVALID_ARGUMENT for an option that the scheme does not have, naming the nearest that it has, or a bad value.
 */
export function parseUfsOptions<S extends OptionSet>(
  scheme: string,
  options: S,
  given: Readonly<Record<string, string>>,
): ValuesOf<S> {
  const known = Object.values(options).map((option) => option.key);
  for (const key of Object.keys(given)) {
    if (known.includes(key)) continue;
    const meant = nearest(key, known);
    const hint = meant === undefined ? `${scheme}:// has no options` : `did you mean ${meant}?`;
    throw new SluiceError('INVALID_ARGUMENT', `Unknown option ${key} of ${scheme}://: ${hint}`);
  }
  const values = Object.entries(options).map(([name, option]) => [
    name,
    option.parse(given[option.key] ?? option.fallback),
  ]);
  return Object.fromEntries(values) as ValuesOf<S>;
}
