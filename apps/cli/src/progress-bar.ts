import { bytesText } from './table.js';

const WIDTH = 24;
const REDRAW_MS = 100;

/** Bytes on their way, on one line of a terminal; where there is no terminal, nothing. */
export class ProgressBar {
  #doneBytes = 0;
  #drawnAt_ms = 0;
  readonly #startedAt_ms = performance.now();

  constructor(
    private readonly stream: NodeJS.WriteStream,
    private readonly title: string,
    private readonly totalBytes: number,
  ) {}

  add(bytes: number): void {
    this.#doneBytes += bytes;
    const now = performance.now();
    if (!this.stream.isTTY || now - this.#drawnAt_ms < REDRAW_MS) return;
    this.#drawnAt_ms = now;
    this.#draw();
  }

  /** Leaves the line as it is at last. */
  end(): void {
    if (!this.stream.isTTY) return;
    this.#draw();
    this.stream.write('\n');
  }

  #draw(): void {
    const share = this.totalBytes === 0 ? 1 : Math.min(1, this.#doneBytes / this.totalBytes);
    const filled = Math.round(share * WIDTH);
    const bar = `${'█'.repeat(filled)}${'░'.repeat(WIDTH - filled)}`;
    const seconds = Math.max(0.001, (performance.now() - this.#startedAt_ms) / 1000);
    const percent = String(Math.floor(share * 100)).padStart(3);
    const done = `${bytesText(this.#doneBytes)} of ${bytesText(this.totalBytes)}`;
    const speed = `${bytesText(Math.round(this.#doneBytes / seconds))}/s`;
    this.stream.write(`\r\u001b[K${this.title}  ${bar} ${percent} %  ${done}  ${speed}`);
  }
}
