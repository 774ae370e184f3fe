import { describe, expect, it } from 'vitest';
import { COMMANDS } from './commands.js';
import { UsageError } from './faults.js';
import { commandHelp } from './help.js';
import { parseCommandLine } from './parse-command-line.js';

const parse = (line: string) => parseCommandLine(COMMANDS, line === '' ? [] : line.split(' '));

describe('a command line', () => {
  it('names a command, its operands and its options in any order', () => {
    const parsed = parse('adapters push ./folder --label a=b --wait --label c=d --json');
    if (parsed.kind !== 'call') throw new Error(parsed.kind);
    const { command, values } = parsed;
    expect(command.path).toEqual(['adapters', 'push']);
    expect(values.operand('FOLDER')).toBe('./folder');
    expect([values.flag('wait'), values.flag('json'), values.flag('no-create')]).toEqual([true, true, false]);
    expect(values.list('label')).toEqual(['a=b', 'c=d']);
  });

  it('means the list where only a group is named', () => {
    expect(parse('engines --json')).toMatchObject({ kind: 'call', command: { path: ['engines', 'list'] } });
  });

  it.each([
    ['', { kind: 'help' }],
    ['--help', { kind: 'help' }],
    ['help', { kind: 'help' }],
    ['jobs --help', { kind: 'help', group: 'jobs' }],
    ['help jobs show', { kind: 'help', command: { path: ['jobs', 'show'] } }],
    ['jobs show --help', { kind: 'help', command: { path: ['jobs', 'show'] } }],
    ['--version', { kind: 'version' }],
  ])('asks for help: "%s"', (line, wanted) => {
    expect(parse(line)).toMatchObject(wanted);
  });

  it.each([
    ['nothing', 'there is no command "nothing"'],
    ['adapters nothing', 'there is no command "adapters nothing"'],
    ['adapters push', 'FOLDER is missing'],
    ['adapters push a b', '"b" is one argument too many'],
    ['adapters list --nothing', "Unknown option '--nothing'"],
    ['adapters list --limit', '--limit'],
    ['adapters push a --wait=yes', '--wait'],
  ])('is refused: "%s"', (line, message) => {
    expect(() => parse(line)).toThrow(UsageError);
    expect(() => parse(line)).toThrow(message);
  });
});

it.each(COMMANDS.map((command) => [command.path.join(' '), command] as const))(
  'the help of "%s" says how it is used and what each option does',
  (name, command) => {
    const help = commandHelp(command);
    expect(help).toContain(`usage: lorikeet ${name}`);
    expect(help).toContain(command.summary);
    for (const option of Object.keys(command.options ?? {}))
      expect(help).toMatch(new RegExp(`--${option}.* \\w`));
    expect(Math.max(...help.split('\n').map((line) => line.length))).toBeLessThanOrEqual(120);
  },
);
