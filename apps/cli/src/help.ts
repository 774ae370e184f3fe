import { type Command, GLOBAL_OPTIONS, type Option } from './command.js';

const INTRODUCTION = `lorikeet: one base model, thousands of LoRA adapters, many tenants

usage: lorikeet COMMAND [ARGUMENTS] [OPTIONS]`;

const FOOTER = `Each command has its own help: lorikeet COMMAND --help

environment
  LORIKEET_URL        the server, e.g. http://127.0.0.1:8080; wins over what \`login\` saved
  LORIKEET_API_KEY    the key; wins over what \`login\` saved
  LORIKEET_TENANT     the tenant that an operator key acts for

exit codes
  0  done    1  the server or the command refused    2  the command line is wrong`;

/** The commands of all groups, or of one. */
export function overviewHelp(commands: readonly Command[], group?: string): string {
  const shown = commands.filter(({ path }) => group === undefined || path[0] === group);
  const rows = shown.map((command) => [usageOf(command), command.summary] as const);
  const list = `commands\n${columns(rows)}`;
  return group === undefined ? `${INTRODUCTION}\n\n${list}\n\n${FOOTER}\n` : `${list}\n`;
}

export function commandHelp(command: Command): string {
  const { operands = [], options = {}, notes = [], summary } = command;
  const parts = [
    `usage: lorikeet ${usageOf(command)} [OPTIONS]`,
    summary,
    ...(operands.length > 0 ? [`arguments\n${columns(operands.map(({ name, help }) => [name, help]))}`] : []),
    `options\n${columns([...optionRows(options), ...optionRows(GLOBAL_OPTIONS)])}`,
    ...(notes.length > 0 ? [notes.join('\n')] : []),
  ];
  return `${parts.join('\n\n')}\n`;
}

/** `adapters push FOLDER`. */
function usageOf({ path, operands = [] }: Command): string {
  const names = operands.map(({ name, optional }) => (optional ? `[${name}]` : name));
  return [...path, ...names].join(' ');
}

function optionRows(options: Readonly<Record<string, Option>>): (readonly [string, string])[] {
  return Object.entries(options).map(([name, { value, kind, help }]) => [
    `--${name}${value === undefined ? '' : ` ${value}`}`,
    kind === 'list' ? `${help}; may be given several times` : help,
  ]);
}

function columns(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join('\n');
}
