import type { ApiClient } from './api-client.js';
import type { Connection } from './connection.js';
import type { Printer } from './printer.js';
import type { Values } from './values.js';

export interface Option {
  /** `list`: may be given several times. */
  readonly kind: 'text' | 'flag' | 'list';
  /** What stands for its value in the help, e.g. `NAME`. */
  readonly value?: string;
  readonly help: string;
}

export interface Operand {
  readonly name: string;
  readonly help: string;
  readonly optional?: boolean;
}

/** One command as the parser, the help and the documentation know it. */
export interface Command {
  /** `['adapters', 'push']`. */
  readonly path: readonly string[];
  readonly summary: string;
  readonly operands?: readonly Operand[];
  readonly options?: Readonly<Record<string, Option>>;
  /** Further lines of its help. */
  readonly notes?: readonly string[];
  run(call: Call): Promise<void>;
}

/** One run of a command. */
export interface Call {
  readonly values: Values;
  readonly print: Printer;
  /** Where and as whom; throws when nobody has logged in. */
  connection(): Promise<Connection>;
  api(): Promise<ApiClient>;
  /** Asks before what cannot be undone, unless --yes was given; throws when the answer is no. */
  confirm(question: string): Promise<void>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly input: NodeJS.ReadStream;
  /** The file that `login` writes. */
  readonly configFile: string;
  /** Aborts on Ctrl-C. */
  readonly signal: AbortSignal;
}

/** What every command takes. */
export const GLOBAL_OPTIONS: Readonly<Record<string, Option>> = {
  json: { kind: 'flag', help: "print the server's JSON instead of a table" },
  url: { kind: 'text', value: 'URL', help: 'the server; instead of LORIKEET_URL or the saved one' },
  tenant: {
    kind: 'text',
    value: 'NAME',
    help: 'the tenant that an operator key acts for; instead of LORIKEET_TENANT or the saved one',
  },
  help: { kind: 'flag', help: 'show this help' },
};

export const PAGE_OPTIONS: Readonly<Record<string, Option>> = {
  limit: { kind: 'text', value: 'N', help: 'rows to show at most (default 50)' },
  after: { kind: 'text', value: 'ID', help: 'go on after this id, the last one of the page before' },
};
