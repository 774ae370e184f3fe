import { StructureError } from '#grammar/errors.js';
import { AppError } from '#runtime/app-error.js';

/** What a caller is told of a structure that could not be kept; `field` is the one that wished for it. */
export function structureFault(error: unknown, field: string): AppError {
  if (error instanceof AppError) return error;
  if (!(error instanceof StructureError) || error.fault === 'internal') {
    const why = error instanceof Error ? error.message : String(error);
    return new AppError('internal_error', {
      message: `${field}: the structure could not be enforced: ${why}.`,
      param: field,
      cause: error,
    });
  }
  const { message, pointer } = error;
  const place = pointer === undefined ? '' : ` (${pointer === '' ? 'at its top' : `at ${pointer}`})`;
  return new AppError('invalid_request', { message: `${field}: ${message}${place}`, param: field });
}

/** The mask and what else the request forbids leave no token. */
export function nothingLeft(field: string): AppError {
  return new AppError('invalid_request', {
    message: `${field}: it allows no next token that min_tokens, bad_words, allowed_token_ids and logit_bias leave.`,
    param: field,
  });
}
