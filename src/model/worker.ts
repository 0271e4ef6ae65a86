/** A worker's UUID, made at its first start and kept in its data folder. */
export type WorkerId = string;

/** What a worker says of itself when it registers; replicated, so that the hash ring survives a failover. */
export interface WorkerRegistration {
  readonly id: WorkerId;
  /** Host and port of its HTTP data service as clients reach it. */
  readonly address: string;
  /** Name of the machine, for short-circuit reads and reports. */
  readonly host: string;
  readonly capacityBytes: number;
}

export type WorkerState = 'live' | 'lost';

/** A worker as the leader publishes it. */
export interface WorkerStatus extends WorkerRegistration {
  readonly state: WorkerState;
  /** Since the leader heard of it last; -1 when it has not heard of it since it leads. */
  readonly lastHeardMs: number;
  readonly usedBytes: number;
  readonly pageCount: number;
  readonly registeredMs: number;
}

/** The published set of workers; `version` grows with every change that moves the ring. */
export interface WorkerList {
  readonly version: number;
  readonly workers: readonly WorkerStatus[];
}
