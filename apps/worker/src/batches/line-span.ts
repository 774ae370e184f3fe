import type { Batch } from '#batches/batch.entity.js';
import { publicBatchId } from '#batches/batch-resource.js';
import type { BatchLine } from '#batches/batch-line.js';
import type { LineResult } from '#batches/batch-states.service.js';
import { currentRequest, inSpan } from '#runtime/request-context.js';

/**
 * Answers a line as a part of its batch's trace, with each time that it is asked as a part of the line. What the line says
 * is not in it.
 */
export async function asPartOfBatch(
  batch: Batch,
  line: BatchLine,
  requestId: string,
  answer: () => Promise<LineResult | undefined>,
): Promise<LineResult | undefined> {
  const span = currentRequest()?.span?.begin('batch line', {
    attributes: {
      'lorikeet.batch.id': publicBatchId(batch.id),
      'lorikeet.batch.line': line.number,
      'lorikeet.request_id': requestId,
    },
  });
  if (span === undefined) return answer();
  try {
    const result = await inSpan(span, answer);
    if (result === undefined) span.fail('cancelled');
    else if (result.isError) span.fail('line_failed');
    return result;
  } catch (error) {
    span.fail('failed');
    throw error;
  } finally {
    span.end();
  }
}
