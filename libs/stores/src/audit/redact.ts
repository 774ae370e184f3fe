export const SECRET = '[secret]';

/** `key`, `secret`, `api_key`, `webhookSecret`, `sha256` of a key, ... but not `key_id` or `weights_sha256`. */
const SECRET_NAME =
  /(^|_|[a-z])(secrets?|password|token|authorization|credentials?)$|^key$|api_?key$|^sha256$/i;
const URL_WITH_USER = /^[a-z][a-z0-9+.-]*:\/\/[^/@\s]+@/i;

/** The same value without what nobody may read again. Dates become text, as in JSON. */
export function redact(value: unknown): unknown {
  if (value instanceof Date) return value.toISOString();
  if (typeof value === 'string') return URL_WITH_USER.test(value) ? hideUser(value) : value;
  if (Array.isArray(value)) return value.map(redact);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .map(([name, member]) => [name, SECRET_NAME.test(name) && member !== null ? SECRET : redact(member)]),
  );
}

function hideUser(url: string): string {
  return url.replace(/\/\/[^/@\s]+@/, `//${SECRET}@`);
}
