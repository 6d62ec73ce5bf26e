/** One chain for each rule of path validation, broken in that alone. */

import { KeyUsage } from "../../src/x509/certificate.ts";
import { encodeOid, encodeSequence, generalName } from "../support/der.ts";
import { DAY, makeAuthority, makeCertificate, makeWeakRsa } from "../support/pki.ts";
import { criticalUnknown, leaf, middle, other, type Rejected, root, under, unspecified } from "./cases.ts";

export const REJECTED_PATHS: readonly Rejected[] = [
  {
    title: "expired",
    make: () => leaf({ notAfter: Date.now() - DAY / 2 }),
    code: "CERT_HAS_EXPIRED",
    alert: "certificate_expired",
    reason: /expired at 20.*, 12 hours before 20/,
  },
  {
    title: "not yet valid",
    make: () => leaf({ notBefore: Date.now() + DAY / 2 }),
    code: "CERT_NOT_YET_VALID",
    alert: "certificate_expired",
    reason: /valid from 20.*, 1[12] hours after 20/,
  },
  {
    title: "an expired intermediate",
    make: () => under({ notAfter: Date.now() - DAY / 2 }),
    code: "CERT_HAS_EXPIRED",
    alert: "certificate_expired",
    reason: /expired at/,
  },
  {
    title: "an expired root",
    make: async () => {
      const old = await makeAuthority({ subject: "old root", notAfter: Date.now() - DAY / 2 });
      return { sent: [await makeCertificate({ issuer: old })], trusted: [old] };
    },
    code: "CERT_HAS_EXPIRED",
    alert: "certificate_expired",
    reason: /expired at/,
  },
  {
    title: "expired and by an unknown issuer",
    make: async () => ({ ...(await leaf({ notAfter: Date.now() - DAY / 2 })), trusted: [middle] }),
    code: "CERT_HAS_EXPIRED",
    alert: "certificate_expired",
    reason: /expired/,
  },
  {
    title: "an unknown issuer and nothing but the leaf",
    make: async () => ({ sent: [await makeCertificate({ issuer: middle })], trusted: [root] }),
    code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    alert: "unknown_ca",
    reason: /its issuer CN=test intermediate is neither trusted nor among the certificates sent/,
  },
  {
    title: "an unknown root above an intermediate",
    make: async () => {
      const chain = [await makeCertificate({ issuer: middle }), middle];
      return { sent: chain, trusted: [await makeAuthority({ subject: "another root" })] };
    },
    code: "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
    alert: "unknown_ca",
    reason: /its issuer CN=test root is neither/,
  },
  {
    title: "a self-signed leaf",
    make: async () => ({ sent: [await makeCertificate({ subject: "self" })], trusted: [root] }),
    code: "DEPTH_ZERO_SELF_SIGNED_CERT",
    alert: "unknown_ca",
    reason: /names itself as its issuer/,
  },
  {
    title: "a root that is sent and not trusted",
    make: async () => {
      const chain = [await makeCertificate({ issuer: middle }), middle, root];
      return { sent: chain, trusted: [await makeAuthority({ subject: "another root" })] };
    },
    code: "SELF_SIGNED_CERT_IN_CHAIN",
    alert: "unknown_ca",
    reason: /names itself as its issuer/,
  },
  {
    title: "a namesake of the root with another key",
    make: async () => {
      const impostor = await makeAuthority({ subject: "test root" });
      return { sent: [await makeCertificate({ issuer: impostor })], trusted: [root] };
    },
    code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    alert: "unknown_ca",
    reason: /neither trusted/,
  },
  {
    title: "a namesake of the root, without key identifiers",
    make: async () => {
      const impostor = await makeAuthority({ subject: "test root", keyIds: false });
      return { sent: [await makeCertificate({ issuer: impostor, keyIds: false })], trusted: [root] };
    },
    code: "CERT_SIGNATURE_FAILURE",
    alert: "bad_certificate",
    reason: /not signed by the key of CN=test root/,
  },
  {
    title: "a signature that is not the issuer's",
    make: async () => leaf({ signer: middle.pair }),
    code: "CERT_SIGNATURE_FAILURE",
    alert: "bad_certificate",
    reason: /not signed by the key of CN=test root/,
  },
  {
    title: "the name of another host",
    make: async () => ({
      ...(await leaf({ names: [generalName.dns("b.example"), generalName.ip("::1")] })),
      name: "a.example",
    }),
    code: "ERR_TLS_CERT_ALTNAME_INVALID",
    alert: "bad_certificate",
    reason: /wanted DNS:a.example, offered DNS:b.example, IP:::1/,
  },
  {
    title: "a name in the CN alone",
    make: () => leaf({ subject: "localhost", names: [] }),
    code: "ERR_TLS_CERT_ALTNAME_INVALID",
    alert: "bad_certificate",
    reason: /offered no DNS name/,
    node: { code: undefined, why: "node:tls falls back to the CN, which RFC 9525 2 forbids" },
  },
  {
    title: "the wrong extKeyUsage",
    make: (role) => leaf({ purposes: [other[role]] }),
    code: "INVALID_PURPOSE",
    alert: "unsupported_certificate",
    reason: /extKeyUsage has (client|server)Auth but not (server|client)Auth/,
  },
  {
    title: "an intermediate with the wrong extKeyUsage",
    make: (role) => under({ purposes: [other[role]] }),
    code: "INVALID_PURPOSE",
    alert: "unsupported_certificate",
    reason: /extKeyUsage/,
  },
  {
    title: "keyUsage without digitalSignature",
    make: () => leaf({ keyUsage: KeyUsage.nonRepudiation }),
    code: "INVALID_PURPOSE",
    alert: "unsupported_certificate",
    reason: /keyUsage has nonRepudiation but not digitalSignature/,
  },
  {
    title: "an issuer with CA:FALSE",
    make: () => under({ ca: false, keyUsage: KeyUsage.keyCertSign, purposes: [] }),
    code: "INVALID_CA",
    alert: "unknown_ca",
    reason: /CA:FALSE/,
    node: { code: "INVALID_PURPOSE", why: "OpenSSL finds INVALID_CA first, and node:tls reports what it finds last" },
  },
  {
    title: "an issuer without basicConstraints",
    make: () => under({ basicConstraints: false }),
    code: "INVALID_CA",
    alert: "unknown_ca",
    reason: /without basicConstraints/,
  },
  {
    title: "an issuer without keyCertSign",
    make: () => under({ keyUsage: KeyUsage.digitalSignature }),
    code: "INVALID_CA",
    alert: "unknown_ca",
    reason: /not keyCertSign/,
    node: unspecified("node:tls has no code for it"),
  },
  {
    title: "an exhausted path length",
    make: async () => {
      const top = await makeAuthority({ subject: "top", issuer: root, pathLength: 0 });
      const lower = await makeAuthority({ subject: "lower", issuer: top });
      return { sent: [await makeCertificate({ issuer: lower }), lower, top], trusted: [root] };
    },
    code: "PATH_LENGTH_EXCEEDED",
    alert: "unknown_ca",
    reason: /allows 0 intermediates below it, there are 1/,
  },
  {
    title: "more intermediates than allowed",
    make: async () => ({
      sent: [await makeCertificate({ issuer: middle }), middle],
      trusted: [root],
      options: { maxDepth: 0 },
    }),
    code: "CERT_CHAIN_TOO_LONG",
    alert: "bad_certificate",
    reason: /more than 0 intermediates/,
    node: null,
  },
  {
    title: "a critical extension that nobody knows",
    make: () => leaf({ extensions: [criticalUnknown] }),
    code: "CERT_UNHANDLED_CRITICAL_EXTENSION",
    alert: "certificate_unknown",
    reason: /1\.3\.6\.1\.4\.1\.55738\.666\.1/,
    node: unspecified("node:tls has no code for it"),
  },
  {
    title: "an intermediate with a critical extension that nobody knows",
    make: () => under({ extensions: [criticalUnknown] }),
    code: "CERT_UNHANDLED_CRITICAL_EXTENSION",
    alert: "certificate_unknown",
    reason: /critical extension/,
    node: unspecified("node:tls has no code for it"),
  },
  {
    title: "a policy required by an intermediate, and none there",
    make: () =>
      under({ extensions: [{ oid: "2.5.29.36", critical: true, value: encodeSequence(Uint8Array.of(0x80, 1, 0)) }] }),
    code: "CERT_POLICY_REQUIRED",
    alert: "certificate_unknown",
    reason: /no valid policy is left/,
    node: { code: undefined, why: "OpenSSL looks at policies only when it is asked to" },
  },
  {
    title: "an RSA key of 1024 bits",
    make: async () => leaf({ key: await makeWeakRsa(1024, "SHA-256") }),
    code: "EE_KEY_TOO_SMALL",
    alert: "bad_certificate",
    reason: /RSA 1024, the least accepted is 2048/,
    node: { code: undefined, why: "OpenSSL's security level 1 accepts 1024 bits" },
  },
  {
    title: "an issuer with an RSA key of 1024 bits",
    make: async () => under({ key: await makeWeakRsa(1024, "SHA-256") }),
    code: "CA_KEY_TOO_SMALL",
    alert: "bad_certificate",
    reason: /RSA 1024/,
    node: { code: undefined, why: "OpenSSL's security level 1 accepts 1024 bits" },
  },
  {
    title: "a SHA-1 signature",
    make: async () => under({ key: await makeWeakRsa(2048, "SHA-1") }),
    code: "CA_MD_TOO_WEAK",
    alert: "bad_certificate",
    reason: /sha1WithRSAEncryption/,
    node: unspecified("node:tls has no code for it"),
  },
  {
    title: "a signature algorithm that nobody knows",
    make: () =>
      leaf({ signer: { algorithm: encodeSequence(encodeOid("1.2.3.4")), sign: (message) => root.pair.sign(message) } }),
    code: "CERT_UNSUPPORTED_ALGORITHM",
    alert: "unsupported_certificate",
    reason: /signature algorithm is not known/,
    node: null,
  },
  {
    title: "a signature algorithm that does not go with the issuer's key",
    make: async () => leaf({ signer: (await makeAuthority({ key: "Ed25519" })).pair }),
    code: "CERT_SIGNATURE_FAILURE",
    alert: "bad_certificate",
    reason: /ed25519 cannot be verified with a key of the kind P-256/,
    node: null,
  },
];
