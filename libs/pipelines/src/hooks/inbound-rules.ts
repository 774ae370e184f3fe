import type { FineTuneEventType, SucceededData } from '#contracts/fine-tune-events.js';
import { AppError } from '#runtime/app-error.js';

/** A message whose signature was checked and whose form is right. */
export interface InboundMessage {
  readonly webhookId: string;
  readonly bodySha256: string;
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
  /** Undefined: a type that we do not know. */
  readonly known: FineTuneEventType | undefined;
}

export interface EventSubject {
  readonly job_id?: string;
  readonly adapter?: string;
}

/** The adapter that gets the version; `fixed` by the hook or the job. Throws what the sender must change. */
export function adapterOf({ adapter }: Pick<SucceededData, 'adapter'>, fixed: string | undefined): string {
  if (adapter !== undefined && fixed !== undefined && adapter !== fixed) {
    throw new AppError('invalid_request', {
      message: `data.adapter: expected ${fixed}, the only adapter here`,
      param: 'data.adapter',
    });
  }
  const name = adapter ?? fixed;
  if (name !== undefined) return name;
  throw new AppError('invalid_request', {
    message: 'data.adapter: is required, since the hook names no adapter',
    param: 'data.adapter',
  });
}
