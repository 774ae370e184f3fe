/** A model that cannot be served as the settings say; the message is for the operator. */
export class ModelError extends Error {}
