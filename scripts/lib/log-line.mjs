const WARN = 40;

/**
 * What of a child's log line belongs on the terminal: warnings and worse of our own (pino's JSON), PANIC of PostgreSQL.
 * The rest stays in the log file; a child's last lines are shown when it ends.
 * @param {string} line
 * @returns {string | undefined}
 */
export function terminalText(line) {
  if (line.startsWith('{')) {
    const record = parse(line);
    if (!record || typeof record.level !== 'number' || record.level < WARN) return undefined;
    const reason = record.err?.message;
    const text = String(record.msg ?? '');
    return reason && !text.includes(reason) ? `${text}: ${reason}` : text;
  }
  return / PANIC: /.test(line) ? line : undefined;
}

/** @param {string} line @returns {{ level?: unknown, msg?: unknown, err?: { message?: string } } | undefined} */
function parse(line) {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
