import { type Colours, paintState } from './colour.js';
import { type Row, tableText } from './table.js';

/** What a page of the API's lists has, as far as it matters here. */
export interface Page<T> {
  readonly data: readonly T[];
  readonly has_more: boolean;
  readonly last_id: string | null;
}

/** Results to standard output, everything else to standard error. */
export class Printer {
  constructor(
    readonly out: NodeJS.WriteStream,
    readonly err: NodeJS.WriteStream,
    /** Print JSON alone. */
    readonly json: boolean,
    private readonly colours: { readonly out: Colours; readonly err: Colours },
  ) {}

  /** The whole answer as JSON, or what `text` makes of it. */
  result<T>(answer: T, text: (answer: T) => string): void {
    this.write(this.json ? JSON.stringify(answer, null, 2) : text(answer).trimEnd());
  }

  /** A page as a table, with a word on how to go on. */
  list<T>(page: Page<T>, head: readonly string[], row: (item: T) => Row): void {
    const { out } = this.colours;
    const paint = { paintHead: out.head, paintCell: (text: string) => paintState(text, out) };
    this.result(page, ({ data }) => (data.length === 0 ? '(none)' : tableText(head, data.map(row), paint)));
    if (page.has_more && !this.json) this.note(`there are more: --after ${page.last_id}`);
  }

  write(line: string): void {
    this.out.write(`${line}\n`);
  }

  /** Something that the user should know and that is no error. */
  warn(line: string): void {
    this.note(this.colours.err.wait(`warning: ${line}`));
  }

  /** Said beside the result; not at all with --json. */
  note(line: string): void {
    if (!this.json) this.err.write(`${line}\n`);
  }
}
