import type { ValuesOf } from '../host/config/option.ts';
import { clientOptions } from './options.ts';

/** Values of `clientOptions`. */
export type ClientSettings = ValuesOf<typeof clientOptions>;

/** The given settings, and the defaults for the others. */
export function completeSettings(given: Partial<ClientSettings>): ClientSettings {
  const complete: Record<string, unknown> = {};
  for (const [name, option] of Object.entries(clientOptions))
    complete[name] = given[name as keyof ClientSettings] ?? option.parse(option.fallback);
  return complete as unknown as ClientSettings;
}
