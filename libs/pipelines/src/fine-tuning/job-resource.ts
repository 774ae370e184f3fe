import type {
  CreateFineTuningJob,
  FineTuningJob as JobResource,
  FineTuningJobEvent,
} from '#contracts/openai/fine-tuning.js';
import type { FineTuningEvent } from './fine-tuning-event.entity.js';
import { type FineTuningJob, publicJobId } from './fine-tuning-job.entity.js';

/** Rows as OpenAI's clients read them. */

const seconds = (time: Date): number => Math.floor(time.getTime() / 1000);

/** `tenant`: its name, where it is known. */
export function jobResource(row: FineTuningJob, tenant: string | undefined): JobResource {
  const request = row.request as Partial<CreateFineTuningJob>;
  return {
    id: publicJobId(row.id),
    object: 'fine_tuning.job',
    created_at: seconds(row.createdAt),
    finished_at: row.finishedAt ? seconds(row.finishedAt) : null,
    status: row.status,
    model: row.model,
    fine_tuned_model:
      row.status === 'succeeded' && row.version !== null ? `${row.adapter}@${row.version}` : null,
    organization_id: tenant ?? row.tenantId,
    training_file: request.training_file ?? '',
    validation_file: request.validation_file ?? null,
    hyperparameters: request.hyperparameters ?? {},
    method: request.method ?? null,
    result_files: [],
    trained_tokens: row.trainedTokens === null ? null : Number(row.trainedTokens),
    estimated_finish: row.estimatedFinish ? seconds(row.estimatedFinish) : null,
    error: row.error,
    user_provided_suffix: request.suffix ?? null,
    seed: row.seed,
    integrations: [],
    metadata: request.metadata ?? null,
    adapter: row.adapter,
    trainer: row.trainer,
    progress: row.progress,
    metrics: row.metrics,
  };
}

export function eventResource({
  id,
  createdAt,
  level,
  message,
  type,
  data,
}: FineTuningEvent): FineTuningJobEvent {
  return {
    id: `ftevent-${id}`,
    object: 'fine_tuning.job.event',
    created_at: seconds(createdAt),
    level,
    message,
    type,
    data,
  };
}
