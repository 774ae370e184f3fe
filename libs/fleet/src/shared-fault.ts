import type { GenerateEvent } from '#contracts/engine-protocol.js';
import { AppError } from '#runtime/app-error.js';

/** The engine, or the way to it, failed whatever it was asked: it says nothing of the request or its version. */
export class SharedFault extends AppError {}

export function faultOfEvent({ code, message, shared }: Extract<GenerateEvent, { type: 'error' }>): AppError {
  return shared === true ? new SharedFault(code, { message }) : new AppError(code, { message });
}
