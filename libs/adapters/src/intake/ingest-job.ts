/** The queue's kind of job that validates an uploaded version; the job's id is the version's id. */
export const INGEST_JOB = 'ingest-adapter';

export interface IngestJob {
  readonly versionId: string;
}

/** Injection token of the JobProducer<IngestJob>. */
export const INGEST_PRODUCER = Symbol('INGEST_PRODUCER');
