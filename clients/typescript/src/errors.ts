/** Errors of calls, as the server's details or the transport say. */

import { status, type ServiceError } from "@grpc/grpc-js";
import { BadRequest, ErrorInfo, RetryInfo, type Any } from "nice-grpc-error-details";
import { Status } from "nice-grpc-error-details/lib/proto/google/rpc/status.js";

const DOMAIN = "whence";
const DETAILS_KEY = "grpc-status-details-bin";
const REQUEST_ID_KEY = "x-request-id";

/** What an error has besides its message. */
export interface ErrorFacts {
  code: status;
  reason: string;
  details?: Record<string, string>;
  field?: string | undefined;
  retryAfterS?: number | undefined;
  requestId?: string | undefined;
  cause?: unknown;
}

/** A call that failed, or that was not sent. Match on `reason`: reasons are stable, messages are not. */
export class WhenceError extends Error {
  override readonly name = "WhenceError";
  /** The canonical gRPC code. */
  readonly code: status;
  /** One of docs/errors.md, or `GRPC_<CODE>` where the transport failed and the server said nothing. */
  readonly reason: string;
  /** The values that the message mentions. */
  readonly details: Readonly<Record<string, string>>;
  /** The path of the field that is wrong, such as `queries[2].text.completion`. */
  readonly field: string | undefined;
  /** After how many seconds the server asks to call again. */
  readonly retryAfterS: number | undefined;
  /** The id under which the server logged the call. */
  readonly requestId: string | undefined;

  constructor(message: string, facts: ErrorFacts) {
    super(message, { cause: facts.cause });
    this.code = facts.code;
    this.reason = facts.reason;
    this.details = facts.details ?? {};
    this.field = facts.field;
    this.retryAfterS = facts.retryAfterS;
    this.requestId = facts.requestId;
  }
}

/** Return the error of an argument that can never be sent. */
export function invalid(message: string, reason: string, field?: string): WhenceError {
  return new WhenceError(message, { code: status.INVALID_ARGUMENT, reason, field });
}

/** Return the typed error of a failed call. */
export function fromCall(failure: ServiceError): WhenceError {
  const id = failure.metadata?.get(REQUEST_ID_KEY)[0];
  const requestId = typeof id === "string" ? id : undefined;
  const data = failure.metadata?.get(DETAILS_KEY)[0];
  const error = typeof data === "object" ? fromDetails(data, requestId, failure) : undefined;
  if (error !== undefined) return error;
  if (failure.code === status.RESOURCE_EXHAUSTED && /larger than/.test(failure.details)) {
    // gRPC has one code for its own size limit and for the server's load: only the text tells them apart.
    return new WhenceError(`a message was too large (${failure.details}): ask for less at once`, {
      code: status.INVALID_ARGUMENT,
      reason: "TOO_LARGE_MESSAGE",
      requestId,
      cause: failure,
    });
  }
  const reason = `GRPC_${status[failure.code] ?? "UNKNOWN"}`;
  return new WhenceError(failure.details || reason, { code: failure.code, reason, requestId, cause: failure });
}

function fromDetails(data: Uint8Array, requestId: string | undefined, cause: ServiceError): WhenceError | undefined {
  const wire = Status.decode(data);
  const info = find(wire.details, ErrorInfo);
  if (info?.domain !== DOMAIN) return undefined;
  const request = find(wire.details, BadRequest);
  const delay = find(wire.details, RetryInfo)?.retryDelay;
  return new WhenceError(wire.message, {
    code: wire.code,
    reason: info.reason,
    details: info.metadata,
    field: request?.fieldViolations[0]?.field,
    retryAfterS: delay && delay.seconds + delay.nanos / 1e9,
    requestId: requestId ?? info.metadata["request_id"],
    cause,
  });
}

/** Return the first detail of a type, if there is one. */
function find<T>(details: Any[], type: { $type: string; decode(data: Uint8Array): T }): T | undefined {
  const packed = details.find(({ typeUrl }) => typeUrl.endsWith(`/${type.$type}`));
  return packed && type.decode(packed.value);
}
