/** A client of a Whence server. Its methods are those of the protocol (`docs/protocol.md`), with typed messages. */

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { Client as Channel, Metadata, status, type ServiceError } from "@grpc/grpc-js";
import { setTimeout as sleep } from "node:timers/promises";

import { channelCredentials, channelOptions, type Tls } from "./channel.js";
import { fromCall, WhenceError } from "./errors.js";
import { AttributionService, type StreamAttributeResponse } from "./generated/whence/v1/attribution_service_pb.js";
import { Deadline, DEFAULT_RETRY, waitS, type RetryPolicy } from "./retries.js";
import { authorization, checkPlace, type TokenSource } from "./tokens.js";

const { method: METHODS, typeName: SERVICE } = AttributionService;

export interface ClientOptions {
  /** Bounds a call with all its attempts, in seconds: 600 unless set. */
  timeoutS?: number;
  /** Retries of unary calls to an unavailable server. */
  retry?: Partial<RetryPolicy>;
  /** Whether to call again after the wait that a server asks for that refused a call for load: true unless set. */
  retryOverload?: boolean;
  /** Unset: not encrypted. `{}`: TLS, trusting the authorities of Node. */
  tls?: Tls;
  /** Sent with every call. Without TLS to this machine alone, unless `allowInsecureToken`. */
  token?: TokenSource;
  allowInsecureToken?: boolean;
}

export interface CallOptions {
  /** As that of the client, for this call. */
  timeoutS?: number;
  /** Cancels the call, and its wait for a next attempt. */
  signal?: AbortSignal;
  /** Further metadata, such as `traceparent`. */
  metadata?: Record<string, string>;
}

/** Progress (`partial`), perhaps several times or never, then exactly one `result`. */
export type AttributeEvent = Exclude<StreamAttributeResponse["event"], { case: undefined }>;

type Request<M extends { input: DescMessage }> = MessageInitShape<M["input"]>;

/** A client of the server at `target`, such as `localhost:50051` or `unix:/whence.sock`. Methods throw WhenceError. */
export class Client {
  readonly #channel: Channel;
  readonly #options: ClientOptions;

  constructor(target: string, options: ClientOptions = {}) {
    if (options.token !== undefined) {
      checkPlace(target, options.tls !== undefined, options.allowInsecureToken ?? false);
    }
    const retry = { ...DEFAULT_RETRY, ...options.retry };
    const secure = channelCredentials(options.tls);
    this.#channel = new Channel(target, secure, channelOptions(target, retry, options.tls?.serverName));
    this.#options = options;
  }

  attribute(request: Request<typeof METHODS.attribute>, call?: CallOptions) {
    return this.#ask(METHODS.attribute, request, call);
  }

  batchAttribute(request: Request<typeof METHODS.batchAttribute>, call?: CallOptions) {
    return this.#ask(METHODS.batchAttribute, request, call);
  }

  score(request: Request<typeof METHODS.score>, call?: CallOptions) {
    return this.#ask(METHODS.score, request, call);
  }

  explain(request: Request<typeof METHODS.explain>, call?: CallOptions) {
    return this.#ask(METHODS.explain, request, call);
  }

  selfInfluence(request: Request<typeof METHODS.selfInfluence>, call?: CallOptions) {
    return this.#ask(METHODS.selfInfluence, request, call);
  }

  groupInfluence(request: Request<typeof METHODS.groupInfluence>, call?: CallOptions) {
    return this.#ask(METHODS.groupInfluence, request, call);
  }

  textOverlap(request: Request<typeof METHODS.textOverlap>, call?: CallOptions) {
    return this.#ask(METHODS.textOverlap, request, call);
  }

  listModels(request: Request<typeof METHODS.listModels> = {}, call?: CallOptions) {
    return this.#ask(METHODS.listModels, request, call);
  }

  getModel(request: Request<typeof METHODS.getModel> = {}, call?: CallOptions) {
    return this.#ask(METHODS.getModel, request, call);
  }

  /** Yield progress, then the result. The call starts with the first item; leaving the loop cancels it. */
  async *streamAttribute(
    request: Request<typeof METHODS.streamAttribute>,
    call: CallOptions = {},
  ): AsyncGenerator<AttributeEvent, void, undefined> {
    const message = create(METHODS.streamAttribute.input, request);
    const deadline = this.#deadline(call);
    for (;;) {
      try {
        yield* this.#stream(message, deadline, call);
        return;
      } catch (failure) {
        await this.#waitOrThrow(failure, deadline, call.signal);
      }
    }
  }

  /** Close the connection. Calls in flight fail. */
  close(): void {
    this.#channel.close();
  }

  async #ask<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    call: CallOptions = {},
  ): Promise<MessageShape<O>> {
    const message = create(method.input, request);
    const deadline = this.#deadline(call);
    for (;;) {
      try {
        return await this.#once(method, message, deadline, call);
      } catch (failure) {
        await this.#waitOrThrow(failure, deadline, call.signal);
      }
    }
  }

  async #once<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    message: MessageShape<I>,
    deadline: Deadline,
    { metadata, signal }: CallOptions,
  ): Promise<MessageShape<O>> {
    const headers = await this.#headers(metadata);
    signal?.throwIfAborted();
    return await new Promise((resolve, reject) => {
      const answered = (failure: ServiceError | null, answer?: MessageShape<O>) => {
        signal?.removeEventListener("abort", cancel);
        if (failure === null) resolve(answer as MessageShape<O>);
        else reject(failure);
      };
      const { path, serialize, deserialize } = wire(method);
      const options = { deadline: deadline.date };
      const running = this.#channel.makeUnaryRequest(path, serialize, deserialize, message, headers, options, answered);
      const cancel = () => running.cancel();
      signal?.addEventListener("abort", cancel);
    });
  }

  async *#stream(
    message: MessageShape<typeof METHODS.streamAttribute.input>,
    deadline: Deadline,
    { metadata, signal }: CallOptions,
  ): AsyncGenerator<AttributeEvent, void, undefined> {
    const { path, serialize, deserialize } = wire(METHODS.streamAttribute);
    const headers = await this.#headers(metadata);
    signal?.throwIfAborted();
    const options = { deadline: deadline.date };
    const running = this.#channel.makeServerStreamRequest(path, serialize, deserialize, message, headers, options);
    running.on("error", () => {}); // A cancelled call reports that after its reader has gone.
    const cancel = () => running.cancel();
    signal?.addEventListener("abort", cancel);
    let result: AttributeEvent | undefined;
    try {
      for await (const { event } of running as AsyncIterable<StreamAttributeResponse>) {
        if (event.case === "partial") yield event;
        else if (event.case === "result") result = event;
      }
    } finally {
      signal?.removeEventListener("abort", cancel);
      cancel();
    }
    if (result === undefined) {
      const message = "the server ended the stream without an answer: compare the client's and the server's versions";
      throw new WhenceError(message, { code: status.INTERNAL, reason: "MISSING_ANSWER" });
    }
    // Only now: a caller who stops at the answer must not cancel a call that succeeded.
    yield result;
  }

  async #headers(metadata: Record<string, string> = {}): Promise<Metadata> {
    const headers = new Metadata();
    for (const [name, value] of Object.entries(metadata)) headers.set(name, value);
    if (this.#options.token !== undefined) headers.set("authorization", await authorization(this.#options.token));
    return headers;
  }

  #deadline(call: CallOptions): Deadline {
    return new Deadline(call.timeoutS ?? this.#options.timeoutS ?? 600);
  }

  async #waitOrThrow(failure: unknown, deadline: Deadline, signal: AbortSignal | undefined): Promise<void> {
    if (!isServiceError(failure)) throw failure;
    const error = fromCall(failure);
    const wait = (this.#options.retryOverload ?? true) ? waitS(error, deadline.leftS) : undefined;
    if (wait === undefined) throw error;
    await sleep(1000 * wait, undefined, signal === undefined ? {} : { signal });
  }
}

function wire<I extends DescMessage, O extends DescMessage>(method: {
  name: string;
  input: I;
  output: O;
}): {
  path: string;
  serialize: (message: MessageShape<I>) => Buffer;
  deserialize: (data: Buffer) => MessageShape<O>;
} {
  return {
    path: `/${SERVICE}/${method.name}`,
    serialize: (message) => Buffer.from(toBinary(method.input, message)),
    deserialize: (data) => fromBinary(method.output, data),
  };
}

function isServiceError(failure: unknown): failure is ServiceError {
  return failure instanceof Error && !(failure instanceof WhenceError) && "code" in failure && "metadata" in failure;
}
