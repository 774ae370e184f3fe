import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { CommandError } from './faults.js';

export interface Terminal {
  readonly input: NodeJS.ReadStream;
  readonly output: NodeJS.WriteStream;
  readonly signal: AbortSignal;
}

/** The answer to a question on the terminal. */
export async function ask(question: string, { input, output, signal }: Terminal): Promise<string> {
  if (!input.isTTY) throw new CommandError('there is no terminal to ask on; see: lorikeet login --help');
  const lines = createInterface({ input, output });
  try {
    return (await lines.question(question, { signal })).trim();
  } finally {
    lines.close();
  }
}

/** Asks before what cannot be undone. Without a terminal nobody can say yes but the command line. */
export async function confirm(question: string, sure: boolean, terminal: Terminal): Promise<void> {
  if (sure) return;
  if (!terminal.input.isTTY) throw new CommandError(`${question} Nobody can be asked here: add --yes`);
  const answer = await ask(`${question} [y/N] `, terminal);
  if (!/^y(es)?$/i.test(answer)) throw new CommandError('nothing was changed');
}

/** As `ask`, but what is typed is not shown. */
export async function askSecret(question: string, { input, output, signal }: Terminal): Promise<string> {
  if (!input.isTTY) throw new CommandError('there is no terminal to ask on; use --key-stdin');
  output.write(question);
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input, output: nowhere, terminal: true });
  try {
    return (await lines.question('', { signal })).trim();
  } finally {
    lines.close();
    output.write('\n');
  }
}

/** The first line of what is piped in. */
export async function readLine(input: NodeJS.ReadStream): Promise<string> {
  return (await readAll(input)).split('\n', 1)[0]?.trim() ?? '';
}

export async function readAll(input: NodeJS.ReadStream): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of input) chunks.push(Buffer.from(chunk as Buffer));
  return Buffer.concat(chunks).toString('utf8');
}
