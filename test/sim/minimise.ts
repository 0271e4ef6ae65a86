import { FAULT_KINDS } from './faults.ts';
import { SimulationFailure, type SimulationOptions, type SimulationReport, simulate } from './world.ts';

/** Runs a simulation. @returns what broke, or the report of a run in which nothing did. */
export function attempt(options: SimulationOptions): SimulationFailure | SimulationReport {
  try {
    return simulate(options);
  } catch (error) {
    if (error instanceof SimulationFailure) return error;
    throw error;
  }
}

/**
 * A smaller run that fails in the same way: with fewer kinds of faults, then with fewer ticks. To fail in the same way
 * is to break the same promise, whichever nodes, terms and indexes are in it.
 */
export function minimise(failure: SimulationFailure): SimulationFailure {
  let least = failure;
  const holds = (change: Partial<SimulationOptions>): boolean => {
    const result = attempt({ ...least.options, ...change });
    if (!(result instanceof SimulationFailure) || wayOf(result) !== wayOf(failure)) return false;
    least = result;
    return true;
  };
  for (const kind of FAULT_KINDS) holds({ without: [...(least.options.without ?? []), kind] });
  let cut = Math.floor(least.options.ticks / 2);
  while (cut >= 1) {
    const ticks = least.options.ticks - cut;
    if (ticks < 1 || !holds({ ticks })) cut = Math.floor(cut / 2);
  }
  return least;
}

function wayOf({ promise }: SimulationFailure): string {
  // The number of the invariant stays, all others vary from run to run.
  return promise.replace(/(?<!^I)\b(n?\d+|undefined)\b/g, '#');
}
