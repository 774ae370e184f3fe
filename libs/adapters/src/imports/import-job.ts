/** The queue's kind of job that fetches a version's files; the job's id is the version's id. */
export const IMPORT_JOB = 'import-adapter';

export interface ImportJob {
  readonly versionId: string;
}

/** Injection token of the JobProducer<ImportJob>. */
export const IMPORT_PRODUCER = Symbol('IMPORT_PRODUCER');
