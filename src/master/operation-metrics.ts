import type { Clock } from '../base/clock.ts';
import { type Counter, type Histogram, type Metrics, SECONDS_BUCKETS } from '../host/metrics.ts';
import { SluiceError } from '../model/errors.ts';
import type { OperationContext } from '../wire/operation-handlers.ts';
import type { LeaderGate } from './leader-gate.ts';

/** Counts and times operations by name and result; `OK` or an error code. */
export class OperationMetrics {
  readonly #metrics: Metrics;
  readonly #clock: Clock;

  constructor(metrics: Metrics, clock: Clock) {
    this.#metrics = metrics;
    this.#clock = clock;
  }

  /**
   * Wraps a handler so that each call passes the gate, is counted and timed.
   * @param standby answers where another master leads, when the caller takes that
   */
  measured<Q, C extends Pick<OperationContext, 'anyMaster'>, R>(
    name: string,
    gate: LeaderGate,
    handler: (request: Q, context: C) => Promise<R>,
    standby?: (request: Q, context: C) => Promise<R>,
  ): typeof handler {
    const clock = this.#clock;
    const seconds: Histogram = this.#metrics.histogram(
      'sluice_master_operation_seconds',
      'Time from the arrival of an operation to its answer',
      SECONDS_BUCKETS,
      { operation: name },
    );
    const ok = this.#count(name, 'OK');
    const byStandby = standby === undefined ? undefined : this.#standbyReads(name);
    const failures = new Map<string, Counter>();
    return async (request, context) => {
      const beganMs = clock.monotonicMs();
      const elsewhere = context.anyMaster === true && !gate.leading ? standby : undefined;
      try {
        if (elsewhere !== undefined) {
          const answer = await gate.standing(() => elsewhere(request, context));
          ok.add(1);
          byStandby?.add(1);
          return answer;
        }
        const settling = gate.settling();
        if (settling !== undefined) await settling;
        gate.check();
        const reply = await handler(request, context);
        ok.add(1);
        return reply;
      } catch (caught) {
        const thrown = elsewhere === undefined ? await gate.redirected(caught) : caught;
        const { code } = SluiceError.from(thrown);
        const count = failures.get(code) ?? this.#count(name, code);
        failures.set(code, count);
        count.add(1);
        throw thrown;
      } finally {
        seconds.observe((clock.monotonicMs() - beganMs) / 1000);
      }
    };
  }

  #standbyReads(operation: string): Counter {
    const doc = 'Reads answered while another master led';
    return this.#metrics.counter('sluice_master_standby_reads_total', doc, { operation });
  }

  #count(operation: string, code: string): Counter {
    return this.#metrics.counter('sluice_master_operations_total', 'Operations answered', { operation, code });
  }
}
