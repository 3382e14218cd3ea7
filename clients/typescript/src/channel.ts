/** Channels: their options, service config and credentials. */

import { credentials, type ChannelCredentials, type ChannelOptions } from "@grpc/grpc-js";
import { readFileSync } from "node:fs";

import { invalid } from "./errors.js";
import { AttributionService } from "./generated/whence/v1/attribution_service_pb.js";
import type { RetryPolicy } from "./retries.js";
import { isHere } from "./tokens.js";

/** gRPC's own default is 4 MiB; an explanation of 100 layers and 8,192 tokens is 6.5 MiB. */
const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;

/** TLS to a server, from PEM files, which are read when a client is made. */
export interface Tls {
  /** The authorities to trust. Unset: those of Node. */
  caFile?: string;
  /** The client's own certificate and its key, for servers that ask for them (mutual TLS). */
  certificateFile?: string;
  keyFile?: string;
  /** The name that the server's certificate must have. Unset: the one in the target. */
  serverName?: string;
}

/** Return the credentials of a channel; without `tls` it is not encrypted. */
export function channelCredentials(tls: Tls | undefined): ChannelCredentials {
  if (tls === undefined) return credentials.createInsecure();
  const { caFile, keyFile, certificateFile } = tls;
  const [ca, key, certificate] = [read(caFile), read(keyFile), read(certificateFile)];
  try {
    return credentials.createSsl(ca, key, certificate);
  } catch (cause) {
    throw invalid(`the certificates cannot be used: ${String(cause)}`, "UNREADABLE_CERTIFICATE", "tls");
  }
}

/** Return the options of a channel. Long scans are silent for minutes: pings keep the connection from being dropped. */
export function channelOptions(target: string, retry: RetryPolicy, serverName?: string): ChannelOptions {
  return {
    ...(isHere(target) ? { "grpc.enable_http_proxy": 0 } : {}),
    ...(serverName ? { "grpc.default_authority": serverName, "grpc.ssl_target_name_override": serverName } : {}),
    "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
    "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
    "grpc.keepalive_time_ms": 60_000,
    "grpc.keepalive_timeout_ms": 20_000,
    "grpc.service_config": JSON.stringify(serviceConfig(retry)),
  };
}

function serviceConfig(retry: RetryPolicy): object {
  const unary = AttributionService.methods.filter((method) => method.methodKind === "unary");
  const methodConfig = {
    name: unary.map((method) => ({ service: AttributionService.typeName, method: method.name })),
    retryPolicy: {
      maxAttempts: retry.maxAttempts,
      initialBackoff: `${retry.initialBackoffS.toFixed(3)}s`,
      maxBackoff: `${retry.maxBackoffS.toFixed(3)}s`,
      backoffMultiplier: retry.multiplier,
      retryableStatusCodes: ["UNAVAILABLE"],
    },
  };
  return { loadBalancingConfig: [{ round_robin: {} }], methodConfig: retry.maxAttempts > 1 ? [methodConfig] : [] };
}

function read(path: string | undefined): Buffer | null {
  if (path === undefined) return null;
  try {
    return readFileSync(path);
  } catch (cause) {
    throw invalid(`${path} cannot be read: ${String(cause)}`, "UNREADABLE_CERTIFICATE", "tls");
  }
}
