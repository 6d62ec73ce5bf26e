/** The capture that `--pcapng` writes. */
import { fchmodSync, fstatSync, openSync, writeSync } from "node:fs";
import type { Socket } from "node:net";
import type { Side } from "../errors.ts";
import { type CaptureConnection, type CaptureWriter, createCaptureWriter } from "../inspect/capture/writer.ts";
import { CliError, ExitStatus } from "./exit.ts";
import type { Arguments } from "./flags.ts";

/** Opens a file that only its owner may read, also where it was there before: secrets will stand in it. */
export function openPrivate(file: string): number {
  const descriptor = openSync(file, "w", 0o600);
  if (fstatSync(descriptor).isFile()) fchmodSync(descriptor, 0o600);
  return descriptor;
}

/** Opens the file; `undefined` without the flag. */
export function captureFile(args: Arguments): CaptureWriter | undefined {
  const file = args.get("pcapng");
  if (file === undefined) return undefined;
  let descriptor: number;
  try {
    descriptor = openPrivate(file);
  } catch (error) {
    throw new CliError(ExitStatus.write, `cannot write the capture: ${(error as Error).message}`);
  }
  return createCaptureWriter({ write: (bytes) => writeSync(descriptor, bytes) });
}

/** A connected socket's place in a capture. */
export function captureSocket(writer: CaptureWriter, side: Side, socket: Socket): CaptureConnection {
  const end = (address: string | undefined, port: number | undefined) =>
    // One that the peer has reset at once has no addresses any more.
    address === undefined || port === undefined ? undefined : { address, port };
  return writer.connection({
    side,
    local: end(socket.localAddress, socket.localPort),
    remote: end(socket.remoteAddress, socket.remotePort),
  });
}
