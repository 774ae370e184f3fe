/** The queue's kind of job that validates a version. */
export const INGEST_JOB = 'ingest-adapter';

export interface IngestJob {
  readonly versionId: string;
  /** The base against which a version that was ready on another one is validated again; absent: its first validation. */
  readonly baseDigest?: string;
}

/** A version's first validation has the version's own id. */
export function ingestJobId({ versionId, baseDigest }: IngestJob): string {
  return baseDigest === undefined ? versionId : `${versionId}.${baseDigest.slice(0, 16)}`;
}

/** Injection token of the JobProducer<IngestJob>. */
export const INGEST_PRODUCER = Symbol('INGEST_PRODUCER');
