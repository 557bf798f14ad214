/**
 * Cuts a stream of bytes into lines. A line longer than the limit is handed over in pieces, so that a program that
 * never ends a line cannot fill the memory.
 */
import { StringDecoder } from "node:string_decoder";

export class LineReader {
  readonly #decoder = new StringDecoder("utf8");
  readonly #lineMax: number;
  readonly #onLine: (line: string) => void;
  #rest = "";

  /** @param lineMax longest line in UTF-16 units */
  constructor(lineMax: number, onLine: (line: string) => void) {
    this.#lineMax = lineMax;
    this.#onLine = onLine;
  }

  push(chunk: Uint8Array): void {
    const lines = (this.#rest + this.#decoder.write(Buffer.from(chunk))).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#onLine(line);
    while (this.#rest.length > this.#lineMax) {
      this.#onLine(this.#rest.slice(0, this.#lineMax));
      this.#rest = this.#rest.slice(this.#lineMax);
    }
  }

  /** Hands over a last line without an end. */
  end(): void {
    const rest = this.#rest + this.#decoder.end();
    this.#rest = "";
    if (rest !== "") this.#onLine(rest);
  }
}
