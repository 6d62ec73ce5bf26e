/** Certificates in the shapes that Node hands out. */
import { X509Certificate } from "node:crypto";
import type { DetailedPeerCertificate, PeerCertificate } from "node:tls";

/**
 * A chain as node:tls's legacy objects, each with its issuer; the last is its own issuer when it is self-signed.
 *
 * @param chain - DER, the end entity's first, each issued by the next.
 */
export function detailedCertificate(chain: readonly Uint8Array[]): DetailedPeerCertificate | undefined {
  let issuer: DetailedPeerCertificate | undefined;
  for (const der of [...chain].reverse()) {
    const certificate = new X509Certificate(der);
    const object = legacyObject(certificate) as DetailedPeerCertificate;
    const above = issuer ?? (certificate.checkIssued(certificate) ? object : undefined);
    if (above !== undefined) object.issuerCertificate = above;
    issuer = object;
  }
  return issuer;
}

/** One certificate as node:tls's legacy object. */
export function plainCertificate(der: Uint8Array): PeerCertificate {
  return legacyObject(new X509Certificate(der));
}

/** The certificates of `received` that lead upwards from the first, in order. */
export function chainOf(received: readonly Uint8Array[]): readonly Uint8Array[] {
  const rest = received.map((der) => ({ der, certificate: new X509Certificate(der) }));
  const chain = rest.splice(0, 1);
  for (let last = chain[0]; last !== undefined; ) {
    const { certificate } = last;
    const index = rest.findIndex((other) => certificate.checkIssued(other.certificate));
    const next = index < 0 ? undefined : rest.splice(index, 1)[0];
    if (next !== undefined) chain.push(next);
    last = next;
  }
  return chain.map(({ der }) => der);
}

function legacyObject(certificate: X509Certificate): PeerCertificate {
  const object: PeerCertificate = certificate.toLegacyObject();
  const info: unknown = object.infoAccess;
  if (typeof info === "string") object.infoAccess = readInfoAccess(info);
  return object;
}

/** Lines of `method:location`, as OpenSSL prints them; a location with special characters is a JSON string. */
function readInfoAccess(text: string): Record<string, string[]> {
  const found: Record<string, string[]> = Object.create(null);
  for (const line of text.split("\n")) {
    const colon = line.indexOf(":");
    if (colon < 0) continue;
    const location = line.slice(colon + 1);
    const method = line.slice(0, colon);
    found[method] = [...(found[method] ?? []), location.startsWith('"') ? JSON.parse(location) : location];
  }
  return found;
}
