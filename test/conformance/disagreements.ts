/** Cases of the families in ../shared/conformance that are judged otherwise here, and why. */
export interface Disagreement {
  readonly set: string;
  /** Of cases that may be in the part that is not there as well. */
  readonly id: RegExp;
  readonly reason: string;
  /** The sentence of the RFC that the verdict rests on. */
  readonly rfc: string;
}

export const DISAGREEMENTS: readonly Disagreement[] = [
  {
    set: "limbo",
    id: /::public-suffix-/,
    reason:
      "No list of public suffixes is carried: it is large, changes weekly, and says what a CA may issue, not what a client " +
      "must refuse. A wildcard over a single label (*.com) is refused; one over co.uk is refused only where another rule is broken.",
    rfc: "RFC 9525 7.1: Protection against a wildcard that identifies a public suffix, such as *.co.uk or *.com, is beyond the scope of this document.",
  },
  {
    set: "chains",
    id: /^many-names\/ok-all-types/,
    reason:
      "It has more names in one extension than the 1024 that are read. And its constraints on URIs hold whole URIs where a " +
      "host or domain belongs, and the certificate has URI names. They are refused as malformed whether the extension is critical or not; what ignores them cannot say that the names are permitted.",
    rfc: 'RFC 5280 4.2.1.10: "For URIs, the constraint applies to the host part of the name. The constraint MUST be specified as a fully qualified domain name and MAY specify a host or a domain."',
  },
];
