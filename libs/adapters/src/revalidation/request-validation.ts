import { type AdapterErrorCode, BASE_BOUND_ERRORS } from '#contracts/adapter-report.js';

/**
 * Asks for the validation of versions against base $1: those of the rows `version` (with `judged`, what became of each on that
 * base) that the text `versions` selects. `baseModel` and `held` are parameters. Answers how many were queued.
 */
export const requestSql = (
  versions: string,
  { baseModel, held }: { readonly baseModel: string; readonly held: string },
): string => `
  WITH asked AS (
    INSERT INTO version_bases (version_id, base_digest, tenant_id, base_model, held)
    SELECT version.id, $1, version.tenant_id, ${baseModel}, ${held}::text FROM ${versions}
    ON CONFLICT (version_id, base_digest) DO UPDATE SET state = 'waiting', attempts = 0, report = NULL,
      parity = NULL, failure = NULL, held = EXCLUDED.held, requested_at = now(), judged_at = NULL
      WHERE version_bases.state = 'rejected'
    RETURNING 1
  )
  SELECT count(*)::integer AS queued FROM asked`;

const CODES = [...BASE_BOUND_ERRORS].map((code: AdapterErrorCode) => `'${code}'`).join(', ');

/** Whether the row `version` was rejected when it came, and only for what another base may not mind. */
export const REJECTED_FOR_BASE = `version.state = 'rejected' AND version.failure IS NULL
  AND jsonb_array_length(coalesce(version.report->'errors', '[]')) > 0 AND NOT EXISTS (
    SELECT FROM jsonb_array_elements(version.report->'errors') AS fault WHERE fault->>'code' NOT IN (${CODES}))`;
