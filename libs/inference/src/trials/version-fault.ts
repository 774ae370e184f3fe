import type { ErrorCode } from '#contracts/errors.js';
import { SharedFault } from '#fleet/shared-fault.js';
import type { AppError } from '#runtime/app-error.js';

/**
 * The codes that may speak against the version that was asked. Everything else is the caller's fault, or that of an
 * engine that was away, full, out of memory or restarted, or of what it needs: any version would have met it.
 */
const MAY_BE_VERSIONS_FAULT: ReadonlySet<ErrorCode> = new Set(['adapter_rejected', 'internal_error']);

/** Whether a request failed because of its version. */
export function isVersionsFault(fault: AppError): boolean {
  return MAY_BE_VERSIONS_FAULT.has(fault.code) && !(fault instanceof SharedFault);
}
