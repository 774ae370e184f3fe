/** Why an adapter cannot be merged into a checkpoint, in words for whoever asked. */
export class MergeError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'MergeError';
  }
}
