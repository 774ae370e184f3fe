/** The closed list of what can be wrong with a file, and what each code means. */
export const SAFETENSORS_ERROR_CODES = {
  header_truncated: 'The file ends before its header does.',
  header_too_large: 'The header is longer than the limit.',
  header_not_utf8: 'The header is not valid UTF-8.',
  header_not_object: "The header does not start with '{'.",
  header_json_invalid: 'The header is not strict JSON.',
  duplicate_key: 'A name occurs twice in the header.',
  metadata_invalid: '__metadata__ is not a map from strings to strings.',
  tensor_entry_invalid: "A tensor's entry is not exactly {dtype, shape, data_offsets}.",
  dtype_unknown: "A tensor's dtype is none of the format's.",
  shape_invalid: "A tensor's shape is not a list of non-negative integers, or its size is beyond all bounds.",
  offsets_invalid: "A tensor's data_offsets are not two non-negative integers, first <= second.",
  size_mismatch: 'Shape times element size is not the span of the data_offsets.',
  tensor_overlap: 'Two tensors share bytes.',
  data_hole: 'Bytes before or between tensors belong to none of them.',
  data_truncated: 'The file ends before its last tensor does.',
  trailing_bytes: 'The file goes on after its last tensor.',
} as const;

export type SafetensorsErrorCode = keyof typeof SAFETENSORS_ERROR_CODES;

export interface SafetensorsErrorDetails {
  /** The tensor (or other name in the header) that is at fault. */
  readonly tensor?: string;
  readonly expected?: string;
  readonly found?: string;
}

export class SafetensorsError extends Error {
  override readonly name = 'SafetensorsError';
  constructor(
    readonly code: SafetensorsErrorCode,
    message: string,
    readonly details: SafetensorsErrorDetails = {},
  ) {
    super(message);
  }
}
