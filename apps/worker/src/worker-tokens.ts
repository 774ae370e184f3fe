/** Injection tokens. */
export const WORKER_LOGGER = Symbol('WORKER_LOGGER');
export const WORKER_SETTINGS = Symbol('WORKER_SETTINGS');
