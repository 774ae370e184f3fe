import { describe, expect, it } from 'vitest';
import { ERROR_TABLE } from '#contracts/errors.js';

function errorsPage(): string {
  const rows = Object.entries(ERROR_TABLE).map(
    ([code, { status, type, retryable, text }]) =>
      `| \`${code}\` | ${status} | \`${type}\` | ${retryable ? 'yes' : 'no'} | ${text} |`,
  );
  return `# Errors

Every error has OpenAI's envelope, and \`code\` is one of this closed list:

\`\`\`json
{"error": {"message": "...", "type": "invalid_request_error", "code": "not_found", "param": null}}
\`\`\`

- \`message\` says what was wrong and what was expected; the text below is what it says where nothing more is known.
- \`param\` names the field at fault, where there is one.
- \`rate_limit_exceeded\` and answers 503 carry \`retry-after\` in seconds; \`quota_exceeded\` carries \`quota\`, \`used\` and \`limit\`. "Again" below says whether the same call may succeed later.
- \`adapter_rejected\` (an upload with \`?wait\`) also carries \`version\` with its whole report: [adapter reports](adapter-report.md).
- A stream that has begun tells its error as its last event, in the same envelope.
- 499 is only logged: nobody is there to read it.
- Another tenant's adapter answers exactly as one that does not exist.

| code | status | type | again | text |
| --- | --- | --- | --- | --- |
${rows.join('\n')}
`;
}

describe('docs/errors.md', () => {
  it('lists exactly the error codes (vitest -u writes it)', async () => {
    await expect(errorsPage()).toMatchFileSnapshot('../../docs/errors.md');
  });
});
