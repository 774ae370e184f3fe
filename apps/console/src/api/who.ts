import type { SessionResource } from '#contracts/session-api.js';
import { ApiError, call } from './client';

/** Who is signed in; null: nobody. Apart from the session's hooks, so that it is asked before any library is there. */
export async function whoIsSignedIn(signal?: AbortSignal): Promise<SessionResource | null> {
  try {
    return await call<SessionResource>('/v1/session', signal ? { signal } : {});
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return null;
    throw error;
  }
}
