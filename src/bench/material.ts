/** Certificates for a scenario: a root, intermediates as wanted, and one certificate for each end, all with one kind of key. */
import { type MlDsaName, mlDsaKeyPair } from "../crypto/ml-dsa-keys.ts";
import { mlDsa44, mlDsa65, mlDsa87 } from "../crypto/noble.ts";
import { fault } from "../errors.ts";
import { keyIdentifier, makeCertificate, randomSerialNumber } from "../pki/certificate.ts";
import * as extension from "../pki/extensions.ts";
import { generateKeyPair, type IssuedKeyKind, type KeyPair } from "../pki/keys.ts";
import { encodeSubject } from "../pki/names.ts";
import { KeyPurpose, KeyUsage } from "../x509/certificate.ts";
import type { KeyName, Scenario } from "./scenario.ts";

/** What an end shows: its chain, DER, its own first, and its key, PKCS#8. */
export interface EndIdentity {
  readonly cert: readonly Uint8Array[];
  readonly key: Uint8Array;
}

/** The certificates of one scenario. */
export interface Material {
  /** The root, DER. */
  readonly root: Uint8Array;
  readonly server: EndIdentity;
  readonly client: EndIdentity;
}

const HOUR = 3_600_000;

/** Name that the server's certificate is for. */
export const SERVER_NAME = "localhost";

/**
 * Fresh certificates, valid for a day. Each time they are as long as the time before: ECDSA signatures, whose DER is a byte
 * or two longer or shorter by chance, have their most frequent length.
 *
 * @example
 * ```ts
 * const { server } = await createMaterial({ key: "ed25519", chain: 2 });
 * console.log(server.cert.length); // 2
 * ```
 */
export async function createMaterial({ key, chain }: Pick<Scenario, "key" | "chain">): Promise<Material> {
  const root = await issue("mutls bench root", "ca", await keyPair(key), undefined, key);
  let issuer = root;
  const intermediates: Uint8Array[] = [];
  for (let i = 1; i < chain; i++) {
    issuer = await issue(`mutls bench intermediate ${i}`, "ca", await keyPair(key), issuer, key);
    intermediates.unshift(issuer.certificate);
  }
  const end = async (name: string, role: "server" | "client"): Promise<EndIdentity> => {
    const { certificate, pair } = await issue(name, role, await keyPair(key), issuer, key);
    return { cert: [certificate, ...intermediates], key: pair.pkcs8 };
  };
  return { root: root.certificate, server: await end(SERVER_NAME, "server"), client: await end("client", "client") };
}

interface Issued {
  readonly name: Uint8Array;
  readonly keyId: Uint8Array;
  readonly pair: KeyPair;
  readonly certificate: Uint8Array;
}

async function issue(
  commonName: string,
  role: "ca" | "server" | "client",
  pair: KeyPair,
  issuer: Issued | undefined,
  key: KeyName,
): Promise<Issued> {
  const name = encodeSubject(commonName);
  const keyId = await keyIdentifier(pair.spki);
  const now = Date.now();
  const certificate = await makeCertificate(
    {
      serialNumber: randomSerialNumber(),
      issuer: issuer?.name ?? name,
      subject: name,
      notBefore: now - HOUR,
      notAfter: now + 24 * HOUR,
      spki: pair.spki,
      extensions: [
        extension.basicConstraints(role === "ca"),
        ...(role === "ca"
          ? [extension.keyUsage(KeyUsage.keyCertSign | KeyUsage.cRLSign)]
          : [
              extension.keyUsage(KeyUsage.digitalSignature),
              extension.extendedKeyUsage([role === "server" ? KeyPurpose.serverAuth : KeyPurpose.clientAuth]),
              extension.subjectAltName({ dnsNames: [commonName] }, false),
            ]),
        extension.subjectKeyId(keyId),
        extension.authorityKeyId(issuer?.keyId ?? keyId),
      ],
    },
    evenSigner(issuer?.pair ?? pair, key),
  );
  return { name, keyId, pair, certificate };
}

const KINDS: Readonly<Record<Exclude<KeyName, MlDsaName>, IssuedKeyKind>> = {
  "ecdsa-p256": "P-256",
  "ecdsa-p384": "P-384",
  ed25519: "Ed25519",
  "rsa-2048": "RSA",
};

const ML_DSA = { mldsa44: mlDsa44, mldsa65: mlDsa65, mldsa87: mlDsa87 };
const SEED_LENGTH = 32;

async function keyPair(key: KeyName): Promise<KeyPair> {
  if (!isMlDsa(key)) return generateKeyPair(KINDS[key]);
  const seed = globalThis.crypto.getRandomValues(new Uint8Array(SEED_LENGTH));
  const pair = mlDsaKeyPair(key, seed);
  // A seed as ML-DSA-PrivateKey, RFC 9881 6: [0] IMPLICIT OCTET STRING.
  const sign = ML_DSA[key].signer(Uint8Array.of(0x80, SEED_LENGTH, ...seed));
  return { ...pair, sign: async (message) => sign(message) };
}

/** The scenario's key is ML-DSA's, which has to be named to be accepted. */
export function isMlDsa(key: KeyName): key is MlDsaName {
  return key in ML_DSA;
}

/**
 * Bytes of an ECDSA signature in DER at their most frequent: one of r and s has its highest bit set and needs a zero before
 * it.
 */
export const USUAL_SIGNATURE: Readonly<Partial<Record<KeyName, number>>> = { "ecdsa-p256": 71, "ecdsa-p384": 103 };

/** One signature in two has the usual length: so many in a row have not. */
const MAX_TRIES = 100;

function evenSigner(pair: KeyPair, key: KeyName): KeyPair {
  const usual = USUAL_SIGNATURE[key];
  if (usual === undefined) return pair;
  return {
    ...pair,
    async sign(message) {
      for (let i = 0; i < MAX_TRIES; i++) {
        const signature = await pair.sign(message);
        if (signature.length === usual) return signature;
      }
      throw fault("ERR_TLS_INTERNAL", `no signature of ${usual} bytes in ${MAX_TRIES}`);
    },
  };
}
