/** Those that fail the check; milder ones are told. */
const SEVERE = new Set(['high', 'critical']);

/**
 * @typedef {object} Verdict
 * @property {'clean' | 'told' | 'severe' | 'skipped'} kind
 * @property {readonly string[]} lines  for the operator
 */

/**
 * What `npm audit --json` says.
 * @param {string} output
 * @returns {Verdict}
 */
export function readAudit(output) {
  const report = parse(output);
  const found = report?.vulnerabilities;
  if (typeof found !== 'object' || found === null) {
    const reason = report?.message ?? report?.error?.summary ?? 'no answer';
    return {
      kind: 'skipped',
      lines: [`skipped: the registry gives no advisories here (${String(reason).split('\n')[0]})`],
    };
  }
  const lines = Object.values(found).map(
    (/** @type {any} */ { name, severity, range, via }) =>
      `${severity}: ${name} ${range}: ${via.map((/** @type {any} */ each) => each.title ?? each).join('; ')}`,
  );
  if (lines.length === 0) return { kind: 'clean', lines: ['no advisory names a production package'] };
  const severe = Object.values(found).some((/** @type {any} */ { severity }) => SEVERE.has(severity));
  return { kind: severe ? 'severe' : 'told', lines };
}

/** @param {string} output @returns {any} undefined: no JSON; npm prints warnings around it */
function parse(output) {
  const begin = output.indexOf('{');
  const end = output.lastIndexOf('}');
  try {
    return JSON.parse(output.slice(begin, end + 1));
  } catch {
    return undefined;
  }
}
