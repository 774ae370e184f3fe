import type { BatchResource } from '#contracts/openai/batches.js';
import { idBehind, publicId } from '#stores/ids.js';
import type { Batch } from './batch.entity.js';
import { publicFileId } from './files/file-resource.js';

const PREFIX = 'batch_';

export const publicBatchId = (id: string): string => publicId(PREFIX, id);
export const batchIdBehind = (text: string): string | undefined => idBehind(PREFIX, text);

export function batchResource(row: Batch): BatchResource {
  return {
    id: publicBatchId(row.id),
    object: 'batch',
    endpoint: row.endpoint,
    model: row.model,
    errors: row.errors && { object: 'list', data: row.errors },
    input_file_id: publicFileId(row.inputFileId),
    completion_window: '24h',
    status: row.status,
    output_file_id: row.outputFileId && publicFileId(row.outputFileId),
    error_file_id: row.errorFileId && publicFileId(row.errorFileId),
    created_at: seconds(row.createdAt),
    in_progress_at: secondsOrNull(row.inProgressAt),
    expires_at: seconds(row.expiresAt),
    finalizing_at: secondsOrNull(row.finalizingAt),
    completed_at: secondsOrNull(row.completedAt),
    failed_at: secondsOrNull(row.failedAt),
    expired_at: secondsOrNull(row.expiredAt),
    cancelling_at: secondsOrNull(row.cancellingAt),
    cancelled_at: secondsOrNull(row.cancelledAt),
    request_counts: { total: row.total, completed: row.completed, failed: row.failed },
    usage: {
      input_tokens: row.inputTokens,
      input_tokens_details: { cached_tokens: row.cachedTokens },
      output_tokens: row.outputTokens,
      output_tokens_details: { reasoning_tokens: row.reasoningTokens },
      total_tokens: row.inputTokens + row.outputTokens,
    },
    metadata: row.metadata,
  };
}

function seconds(time: Date): number {
  return Math.floor(time.getTime() / 1000);
}

function secondsOrNull(time: Date | null): number | null {
  return time && seconds(time);
}
