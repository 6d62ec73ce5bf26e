/** Bytes of a connection as lines and as pieces, however they arrive. */
import { latin1 } from "../bytes/bytes.ts";
import { HttpError, invalid } from "./errors.ts";

const LINE_FEED = 0x0a;
const EMPTY = new Uint8Array(0);

export class ByteSource {
  readonly #read: () => Promise<Uint8Array | undefined>;
  #rest: Uint8Array = EMPTY;

  /** @param read - The next bytes; `undefined` at the end. */
  constructor(read: () => Promise<Uint8Array | undefined>) {
    this.#read = read;
  }

  /** Something has come that nobody has taken. */
  get pending(): boolean {
    return this.#rest.length > 0;
  }

  /**
   * A line without its CRLF; `undefined` at the end. A bare CR or LF is none of what may end one (RFC 9112 2.2).
   *
   * @param limit - Bytes of it, CRLF included.
   */
  async line(limit: number, what: string): Promise<string | undefined> {
    let text = "";
    for (;;) {
      const end = this.#rest.indexOf(LINE_FEED);
      const piece = end === -1 ? this.#rest : this.#rest.subarray(0, end + 1);
      if (text.length + piece.length > limit)
        throw new HttpError("ERR_HTTP_TOO_LARGE", `${what}: more than ${limit} bytes`);
      text += latin1(piece);
      this.#rest = this.#rest.subarray(piece.length);
      if (end !== -1) break;
      if (!(await this.#more())) {
        if (text === "") return undefined;
        throw new HttpError("ERR_HTTP_TRUNCATED", `the connection ended within ${what}`);
      }
    }
    if (!text.endsWith("\r\n")) throw invalid(`${what}: a bare LF`);
    const line = text.slice(0, -2);
    if (line.includes("\r")) throw invalid(`${what}: a bare CR`);
    return line;
  }

  /** Some bytes, at most so many; `undefined` at the end. */
  async some(limit: number): Promise<Uint8Array | undefined> {
    if (this.#rest.length === 0 && !(await this.#more())) return undefined;
    const piece = this.#rest.subarray(0, limit);
    this.#rest = this.#rest.subarray(piece.length);
    return piece;
  }

  async #more(): Promise<boolean> {
    do {
      const chunk = await this.#read();
      if (chunk === undefined) return false;
      this.#rest = chunk;
    } while (this.#rest.length === 0);
    return true;
  }
}
