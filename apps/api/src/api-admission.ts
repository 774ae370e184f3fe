import { Injectable } from '@nestjs/common';
import { KeyAdmission } from '#accounts/key-admission.js';
import { KeyDirectory } from '#accounts/key-directory.service.js';
import { InboundEvents } from '#pipelines/hooks/inbound-events.service.js';
import type { FastifyRequest } from 'fastify';
import { signatureOf } from './pipelines/signature-headers.js';

/** Its caller has no key, and signs the body instead. */
const SIGNED_ROUTE = '/v1/hooks/fine-tune/:id';

/** Who may send the public API a body: keys, and senders of messages to a hook that is there. */
@Injectable()
export class ApiAdmission extends KeyAdmission {
  constructor(
    keys: KeyDirectory,
    private readonly events: InboundEvents,
  ) {
    super(keys);
  }

  override async admit(request: FastifyRequest): Promise<string> {
    if (request.routeOptions.url !== SIGNED_ROUTE) return super.admit(request);
    const { id = '' } = request.params as { id?: string };
    await this.events.expect(id, signatureOf(request));
    return `hook:${id}`;
  }
}
