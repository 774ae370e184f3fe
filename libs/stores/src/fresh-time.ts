/** For how long a process trusts what it has read of PostgreSQL without asking again; changes are heard sooner. */
export const FRESH_MS = 5_000;
