export interface ToldEvent {
  readonly type: string;
  readonly createdAt: Date;
  /** The public resource. */
  readonly payload: object;
}

/** The text that is signed and sent, the same at every attempt. */
export function eventBody({ type, createdAt, payload }: ToldEvent): string {
  return JSON.stringify({ type, timestamp: createdAt.toISOString(), data: thin(payload) });
}

/** A version's report names every tensor: receivers want its verdict and can read the rest from the API. */
function thin(payload: object): object {
  if (!('report' in payload) || typeof payload.report !== 'object' || payload.report === null) return payload;
  const { fields: _fields, tensors: _tensors, ...report } = payload.report as Record<string, unknown>;
  return { ...payload, report };
}
