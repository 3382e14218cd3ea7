/** Bearer tokens: where they may be sent. No error repeats one. */

import { status } from "@grpc/grpc-js";
import { BlockList, isIP } from "node:net";

import { invalid, WhenceError } from "./errors.js";

/** A token, or a function that returns it for each call, for those that are renewed. */
export type TokenSource = string | (() => string | Promise<string>);

const HERE = new BlockList();
HERE.addSubnet("127.0.0.0", 8, "ipv4");
HERE.addAddress("0.0.0.0", "ipv4");
HERE.addAddress("::1", "ipv6");
HERE.addAddress("::", "ipv6");

/** Return whether a gRPC target is on this machine: a socket file, or a loopback address. */
export function isHere(target: string): boolean {
  if (target.startsWith("unix:")) return true;
  const address = target.replace(/^(dns:\/\/\/|dns:(?!\/)|ipv[46]:)/, "");
  const match = /^(?:\[([^\]]*)\]|([^:]*))(?::\d*)?$/.exec(address);
  const host = (match?.[1] ?? match?.[2] ?? "").toLowerCase();
  const version = isIP(host);
  return version === 0 ? host === "localhost" : HERE.check(host, version === 4 ? "ipv4" : "ipv6");
}

/** Throw `UNEXPECTED_TOKEN` for a token that would travel to another machine without TLS. */
export function checkPlace(target: string, encrypted: boolean, allowInsecure: boolean): void {
  if (encrypted || allowInsecure || isHere(target)) return;
  throw invalid(
    `a token would be sent to ${target} without TLS, for everyone between here and there to read and use: ` +
      "set tls, or allow it where the network is trusted (allowInsecureToken)",
    "UNEXPECTED_TOKEN",
    "token",
  );
}

/** Return the metadata `authorization` of a call. */
export async function authorization(source: TokenSource): Promise<string> {
  const token = (typeof source === "string" ? source : await source()).trim();
  if (!/^[!-~]+$/.test(token)) {
    throw new WhenceError(
      `the token has ${token.length} characters, which cannot be sent: it must have printable ASCII without spaces`,
      { code: status.UNAUTHENTICATED, reason: "INVALID_CREDENTIALS" },
    );
  }
  return `Bearer ${token}`;
}
