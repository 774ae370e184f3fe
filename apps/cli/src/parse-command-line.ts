import { parseArgs } from 'node:util';
import { type Command, GLOBAL_OPTIONS, type Option } from './command.js';
import { didYouMean } from './did-you-mean.js';
import { UsageError } from './faults.js';
import { Values } from './values.js';

export type Parsed =
  | { readonly kind: 'help'; readonly command?: Command; readonly group?: string }
  | { readonly kind: 'version' }
  | { readonly kind: 'call'; readonly command: Command; readonly values: Values };

/** What a command line asks for; throws UsageError where it asks for nothing that there is. */
export function parseCommandLine(commands: readonly Command[], words: readonly string[]): Parsed {
  if (words[0] === '--version') return { kind: 'version' };
  const asked = words[0] === 'help' ? [...words.slice(1), '--help'] : words;
  const path = leadingNames(asked);
  const command = commands
    .filter((each) => each.path.every((name, at) => path[at] === name))
    .sort((a, b) => b.path.length - a.path.length)[0];
  const [group] = path;
  const wantsHelp = asked.includes('--help') || asked.includes('-h');
  if (!command) {
    const members = commands.filter((each) => each.path[0] === group);
    if (asked.length === 0 || (wantsHelp && group === undefined)) return { kind: 'help' };
    if (group !== undefined && members.length > 0 && (wantsHelp || path.length === 1)) {
      const list = members.find((each) => each.path[1] === 'list');
      // `lorikeet engines` lists them.
      if (!wantsHelp && list)
        return { kind: 'call', command: list, values: readValues(list, asked.slice(1)) };
      return { kind: 'help', group };
    }
    throw new UsageError(`there is no command "${path.slice(0, 2).join(' ')}"${meant(path, commands)}`);
  }
  if (wantsHelp) return { kind: 'help', command };
  return { kind: 'call', command, values: readValues(command, asked.slice(command.path.length)) };
}

const nameOf = (option: string): string => option.slice(2).split('=', 1)[0] ?? '';

/** A guess at the command, by its whole name and by its first word. */
function meant(path: readonly string[], commands: readonly Command[]): string {
  const names = commands.flatMap((each) => [each.path.join(' '), each.path[0] ?? '']);
  const guess = didYouMean(path.slice(0, 2).join(' '), names) ?? didYouMean(path[0] ?? '', names);
  const last = commands.find((each) => each.path.length === 2 && each.path[1] === path[0]);
  const found = last ? last.path.join(' ') : guess;
  return found === undefined ? '' : `; did you mean "${found}"?`;
}

/** A command's name comes first, before any option. */
function leadingNames(words: readonly string[]): readonly string[] {
  const end = words.findIndex((word) => word.startsWith('-'));
  return end < 0 ? words : words.slice(0, end);
}

function readValues(command: Command, words: readonly string[]): Values {
  const known: Readonly<Record<string, Option>> = { ...command.options, ...GLOBAL_OPTIONS };
  const options = Object.fromEntries(
    Object.entries(known).map(([name, { kind }]) => [
      name,
      { type: kind === 'flag' ? ('boolean' as const) : ('string' as const), multiple: kind === 'list' },
    ]),
  );
  let parsed: ReturnType<typeof parseArgs>;
  try {
    parsed = parseArgs({ args: [...words], options, allowPositionals: true, strict: true });
  } catch (error) {
    const wrong = words.find((word) => word.startsWith('--') && !(nameOf(word) in known));
    const guess = wrong && didYouMean(nameOf(wrong), Object.keys(known));
    throw new UsageError(`${firstSentence(error)}${guess ? `; did you mean --${guess}?` : ''}`);
  }
  return new Values(readOperands(command, parsed.positionals), parsed.values as Record<string, string>);
}

function readOperands({ operands = [] }: Command, given: readonly string[]): Record<string, string> {
  const missing = operands.find((operand, at) => !operand.optional && given[at] === undefined);
  if (missing) throw new UsageError(`${missing.name} is missing: ${missing.help}`);
  const extra = given[operands.length];
  if (extra !== undefined) throw new UsageError(`"${extra}" is one argument too many`);
  return Object.fromEntries(
    operands.flatMap(({ name }, at) => {
      const value = given[at];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

function firstSentence(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split(/\. |\n/, 1)[0] ?? text;
}
