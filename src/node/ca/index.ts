/** `mutls/ca`: a private CA in a folder, for Node: what `mutls ca` does, for programs. */
import "../../explained.ts";

export {
  type CertificateAuthority,
  type IssueInput,
  openAuthority,
  type RenewInput,
} from "./authority.ts";
export { type CreateAuthorityOptions, createAuthority } from "./create.ts";
export { ocspServer } from "./http.ts";
export { privateKeyPem, readSubjectKey } from "./keys.ts";
export { ocspResponder, type Responder, type ResponderAnswer, type ResponderOptions } from "./responder.ts";
export type { CaCertificate, CaSettings, IssuedCertificate, Revocation } from "./state.ts";
