/** For how long a run holds its key without saying that it still runs: a process that was killed says nothing. */
export const LEASE_S = 15;
/** How often it says so. */
export const RENEW_MS = 5_000;
