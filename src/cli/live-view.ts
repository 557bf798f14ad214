/**
 * Keeps a drawing of a run on the terminal and redraws it in place, at most a dozen times a second however fast events
 * come, and a few times a second for the clocks when none do. Owns the cursor while open; `close` draws once more and
 * gives it back.
 */
import { dagLines } from "./dag-view.ts";
import { painter } from "./layout.ts";
import type { RunModel } from "./run-model.ts";
import type { Clock, Terminal } from "./terminal.ts";

const REDRAW_MS = 80;
const TICK_MS = 250;

const HIDE_CURSOR = "\u001b[?25l";
const SHOW_CURSOR = "\u001b[?25h";
const WRAP_OFF = "\u001b[?7l";
const WRAP_ON = "\u001b[?7h";

/** A run on the screen. */
export class LiveView {
  readonly #terminal: Terminal;
  readonly #clock: Clock;
  readonly #run: RunModel;
  #height = 0;
  #timer: { cancel(): void } | undefined;
  #soon = false;

  constructor(terminal: Terminal, clock: Clock, run: RunModel) {
    this.#terminal = terminal;
    this.#clock = clock;
    this.#run = run;
    terminal.out(HIDE_CURSOR);
    this.#draw();
  }

  /** The model changed; it is drawn shortly. */
  changed(): void {
    if (this.#soon) return;
    this.#soon = true;
    this.#arm(REDRAW_MS);
  }

  /** Draws the final state and leaves the cursor below it. */
  close(): void {
    this.#timer?.cancel();
    this.#paint();
    this.#terminal.out(SHOW_CURSOR);
  }

  #arm(delayMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.setTimer(delayMs, () => this.#draw());
  }

  #draw(): void {
    this.#soon = false;
    this.#paint();
    this.#arm(TICK_MS);
  }

  #paint(): void {
    const { columns, rows, colour } = this.#terminal;
    const lines = dagLines(this.#run, {
      now: this.#clock.now(),
      columns,
      rows: Math.max(4, rows - 1),
      paint: painter(colour),
    });
    const up = this.#height > 0 ? `\u001b[${this.#height}A` : "";
    this.#height = lines.length;
    this.#terminal.out(`${up}\r\u001b[0J${WRAP_OFF}${lines.join("\n")}${WRAP_ON}\n`);
  }
}
