/**
 * `invalid`: it is not a well-formed schema, pattern or grammar. `unsupported`: it is, and holds what cannot be enforced exactly.
 * `unsatisfiable`: no answer fits it. `too_large`, `too_slow`: it goes beyond a limit. `internal`: a fault of ours.
 */
export type StructureFault =
  | 'invalid'
  | 'unsupported'
  | 'unsatisfiable'
  | 'too_large'
  | 'too_slow'
  | 'internal';

/** A wish for structure that is refused, with the place of the fault in what was sent. */
export class StructureError extends Error {
  override readonly name = 'StructureError';

  constructor(
    readonly fault: StructureFault,
    message: string,
    /** The keyword of the JSON Schema at fault. */
    readonly keyword?: string,
    /** Of the schema that holds the keyword: a JSON pointer, "" for the whole. */
    readonly pointer?: string,
  ) {
    super(message);
  }
}
