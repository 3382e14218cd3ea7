/** Whence from TypeScript and JavaScript: training data attribution of language models, over gRPC. */

export { Client, type AttributeEvent, type CallOptions, type ClientOptions } from "./client.js";
export type { Tls } from "./channel.js";
export { WhenceError } from "./errors.js";
export type { RetryPolicy } from "./retries.js";
export { rows, values } from "./tensors.js";
export type { TokenSource } from "./tokens.js";

export { status } from "@grpc/grpc-js";
export * from "./generated/whence/v1/attribution_pb.js";
export * from "./generated/whence/v1/attribution_service_pb.js";
export * from "./generated/whence/v1/certificate_pb.js";
export * from "./generated/whence/v1/model_pb.js";
export * from "./generated/whence/v1/query_pb.js";
export * from "./generated/whence/v1/tensor_pb.js";
