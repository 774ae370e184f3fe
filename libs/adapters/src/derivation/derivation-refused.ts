/** Why versions cannot be made into another as asked, in words for whoever asked. */
export class DerivationRefused extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'DerivationRefused';
  }
}
