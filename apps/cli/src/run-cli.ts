import { adviceOn } from './advice.js';
import { ApiClient } from './api-client.js';
import { confirm } from './ask.js';
import { coloursOf } from './colour.js';
import { COMMANDS } from './commands.js';
import { configFileOf, readConnection } from './connection.js';
import { ApiError, CommandError, UsageError } from './faults.js';
import { commandHelp, overviewHelp } from './help.js';
import { type Parsed, parseCommandLine } from './parse-command-line.js';
import { Printer } from './printer.js';
import { VERSION } from './version.js';

type Process = Pick<NodeJS.Process, 'stdin' | 'stdout' | 'stderr' | 'env' | 'once'>;
type CommandCall = Extract<Parsed, { kind: 'call' }>;

/** Runs one command line; returns the exit code. */
export async function runCli(words: readonly string[], process: Process): Promise<number> {
  const { stdout, stderr } = process;
  const interrupted = new AbortController();
  process.once('SIGINT', () => interrupted.abort());
  // `lorikeet ... | head` is no error.
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    interrupted.abort();
  });
  try {
    const parsed = parseCommandLine(COMMANDS, words);
    if (parsed.kind === 'version') stdout.write(`${VERSION}\n`);
    else if (parsed.kind === 'call') await run(parsed, process, interrupted.signal);
    else stdout.write(parsed.command ? commandHelp(parsed.command) : overviewHelp(COMMANDS, parsed.group));
    return 0;
  } catch (error) {
    if (interrupted.signal.aborted) return 130;
    stderr.write(`${coloursOf(stderr, process.env).bad('lorikeet:')} ${textOf(error)}\n`);
    return error instanceof UsageError ? 2 : 1;
  }
}

async function run({ command, values }: CommandCall, process: Process, signal: AbortSignal): Promise<void> {
  const { stdin, stdout, stderr, env } = process;
  const configFile = configFileOf(env);
  const connection = () =>
    readConnection(configFile, env, { url: values.text('url'), tenant: values.text('tenant') });
  await command.run({
    values,
    print: new Printer(stdout, stderr, values.flag('json'), {
      out: coloursOf(stdout, env),
      err: coloursOf(stderr, env),
    }),
    confirm: (question) => confirm(question, values.flag('yes'), { input: stdin, output: stderr, signal }),
    env,
    connection,
    api: async () => new ApiClient(await connection(), signal),
    input: stdin,
    configFile,
    signal,
  });
}

/** Never a stack trace. */
function textOf(error: unknown): string {
  if (error instanceof ApiError) return adviceOn(error);
  if (error instanceof UsageError) return `${error.message}; see: lorikeet --help`;
  if (error instanceof CommandError) return error.message;
  return error instanceof Error ? error.message : String(error);
}
