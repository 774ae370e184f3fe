/** JSON text that goes into other JSON as it is, so that the spelling of its numbers (1.0, large integers) is kept. */
export class RawJson {
  /** The text must be valid JSON. */
  constructor(readonly text: string) {}

  /** Where the spelling is of no matter. */
  toJSON(): unknown {
    return JSON.parse(this.text) as unknown;
  }
}
