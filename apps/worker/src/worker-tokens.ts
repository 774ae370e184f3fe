/** Injection tokens. */
export const WORKER_LOGGER = Symbol('WORKER_LOGGER');
export const TRACING = Symbol('TRACING');
export const WORKER_SETTINGS = Symbol('WORKER_SETTINGS');
