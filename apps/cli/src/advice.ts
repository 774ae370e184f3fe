import type { ApiError } from './faults.js';

/** What to type after an error, by its code. */
const NEXT: Readonly<Record<string, string>> = {
  invalid_api_key: 'log in again: lorikeet login',
  insufficient_scope: 'see what the key may do: lorikeet whoami',
  tenant_suspended: 'an operator can let it call again: lorikeet tenants resume TENANT',
  model_not_found: 'see what can be called: lorikeet models',
  version_not_ready: 'see why: lorikeet adapters show ADAPTER@VERSION',
  engine_unavailable: 'see what runs: lorikeet status (operator)',
  quota_exceeded: 'an operator can raise it: lorikeet tenants quotas TENANT',
};

/** The server speaks of requests; these are the words of the command line for the same. */
const WORDS: readonly (readonly [RegExp, string])[] = [
  [/\?force=true/g, '--force'],
  [/\?create=true/g, 'without --no-create'],
  [/name it in the header x-tenant/g, 'name it with --tenant'],
  [/the header `?x-tenant`?/g, '--tenant'],
];

/** An answer of the server as a person at a shell reads it: what is wrong, and what to type next. */
export function adviceOn({ message, code, requestId }: ApiError): string {
  const said = WORDS.reduce((text, [from, to]) => text.replace(from, to), message);
  const request = requestId === undefined ? '' : `, request ${requestId}`;
  const next = NEXT[code];
  return `${said} (${code}${request})${next === undefined ? '' : `\n  ${next}`}`;
}
