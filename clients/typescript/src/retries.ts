/** Which calls are made again, and the deadline of all attempts of a call. */

import { status } from "@grpc/grpc-js";

import { invalid, type WhenceError } from "./errors.js";

/** Added to the wait that a server asks for, so that callers refused together do not come back together. */
const SPREAD = 0.25;
/** A longer wait for a quota is the caller's to decide about: it may last a day, while a queue moves on. */
const LONGEST_WAIT_FOR_QUOTA_S = 30;
const FOREVER_S = 365 * 86_400;

/** The policy by which gRPC itself retries unary calls to an unavailable server. Waits are random, at most these. */
export interface RetryPolicy {
  /** From 1 (no retries) to 5. */
  maxAttempts: number;
  initialBackoffS: number;
  maxBackoffS: number;
  multiplier: number;
}

export const DEFAULT_RETRY: RetryPolicy = { maxAttempts: 4, initialBackoffS: 0.2, maxBackoffS: 5, multiplier: 2 };

/** The time by which a call must end, all its attempts included. */
export class Deadline {
  readonly #endsAt: number;

  constructor(timeoutS: number) {
    if (!(timeoutS > 0)) {
      throw invalid(`timeoutS is ${timeoutS}: it must be more than 0`, "INVALID_TIMEOUT", "timeoutS");
    }
    this.#endsAt = performance.now() + 1000 * Math.min(timeoutS, FOREVER_S);
  }

  /** The seconds left, at least 0. */
  get leftS(): number {
    return Math.max(0, this.#endsAt - performance.now()) / 1000;
  }

  /** The end as gRPC takes it, on the wall clock. */
  get date(): Date {
    return new Date(Date.now() + 1000 * this.leftS);
  }
}

/**
 * Return the wait before the next attempt in seconds, or undefined where the call has failed for good.
 *
 * Here only calls that were refused for load are made again, where the wait that the server asks for ends before the
 * deadline and, for a quota, is not too long. gRPC's own limits have the same code, and no wait.
 */
export function waitS(error: WhenceError, leftS: number): number | undefined {
  if (error.code !== status.RESOURCE_EXHAUSTED || error.retryAfterS === undefined) return undefined;
  if (error.reason === "QUOTA_EXCEEDED" && error.retryAfterS > LONGEST_WAIT_FOR_QUOTA_S) return undefined;
  const wait = error.retryAfterS * (1 + SPREAD * Math.random());
  return wait < leftS ? wait : undefined;
}
