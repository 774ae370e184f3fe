/** Told of a batch, by its id, when something is to be done for it. */
export const BATCHES_CHANNEL = 'lorikeet_batches';
