const IMPORTANT = new Set(['warn', 'error', 'fatal']);

/** @typedef {{ message?: string, code?: string, cause?: LoggedError }} LoggedError */
/** @typedef {{ level?: unknown, msg?: unknown, err?: LoggedError }} LogRecord */

/** A line of our servers (pino's JSON). @param {string} line @returns {LogRecord | undefined} undefined: something else */
function recordOf(line) {
  if (!line.startsWith('{')) return undefined;
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** @param {LogRecord} record */
function textOf({ msg, err }) {
  const text = String(msg ?? '');
  const reason = err?.message ?? err?.code ?? err?.cause?.message ?? err?.cause?.code;
  return reason && !text.includes(reason) ? `${text}: ${reason}` : text;
}

/** @param {LogRecord} record */
const isImportant = ({ level }) => typeof level === 'string' && IMPORTANT.has(level);

/**
 * What of a child's log line belongs on the terminal: warnings and worse of our own, PANIC of PostgreSQL.
 * The rest stays in the log file; a child's last lines are shown when it ends.
 * @param {string} line
 * @returns {string | undefined}
 */
export function terminalText(line) {
  const record = recordOf(line);
  // A process ends with what is fatal to it, and what it said last is shown then.
  if (record) return isImportant(record) && record.level !== 'fatal' ? textOf(record) : undefined;
  return / PANIC: /.test(line) ? line : undefined;
}

/**
 * A child's last lines for a person who asks why it ended: what it printed, and the messages of its log.
 * @param {readonly string[]} lines
 * @returns {string}
 */
export function readable(lines) {
  return lines
    .map((line) => {
      const record = recordOf(line);
      return record ? `[${isImportant(record) ? '!' : 'log'}] ${textOf(record)}` : line;
    })
    .join('\n');
}
