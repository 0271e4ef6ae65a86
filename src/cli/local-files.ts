import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SluiceError } from '../model/errors.ts';

/** Folder of the local cluster, in the folder in which it is started. */
export const LOCAL_FOLDER = '.sluice';

/** Where a local cluster listens; kept, so that it is found again after a restart. */
export interface LocalPlaces {
  readonly masters: readonly { readonly name: string; readonly port: number; readonly statusPort: number }[];
  readonly workers: readonly { readonly name: string; readonly port: number; readonly statusPort: number }[];
}

/** Path of the file that remembers the places. */
export function placesPath(folder: string): string {
  return join(folder, 'cluster.json');
}

/** The remembered places; undefined when no cluster was started in the folder. @throws SluiceError CORRUPT */
export function readPlaces(folder: string): LocalPlaces | undefined {
  const path = placesPath(folder);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw SluiceError.from(thrown, 'PERMISSION_DENIED', `${path} cannot be read`);
  }
  try {
    const places: unknown = JSON.parse(text);
    if (isPlaces(places)) return places;
  } catch {
    // Not JSON: reported below like any other damage.
  }
  throw new SluiceError('CORRUPT', `${path} is damaged: remove it, and the cluster takes new ports`);
}

function isPlaces(value: unknown): value is LocalPlaces {
  if (typeof value !== 'object' || value === null || !('masters' in value) || !('workers' in value)) return false;
  const { masters, workers } = value;
  return Array.isArray(masters) && Array.isArray(workers) && [...masters, ...workers].every(isPlace);
}

function isPlace(value: unknown): boolean {
  const place = value as { name?: unknown; port?: unknown; statusPort?: unknown } | null;
  return typeof place?.name === 'string' && Number.isInteger(place.port) && Number.isInteger(place.statusPort);
}
