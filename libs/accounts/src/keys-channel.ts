/**
 * PostgreSQL's channel on which changes of keys and tenants are told. Payload: the hash of a key's secret that changed;
 * empty: a tenant changed, with all its keys.
 */
export const KEYS_CHANNEL = 'lorikeet_keys';
