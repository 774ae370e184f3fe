import { Injectable } from '@nestjs/common';
import { KeyAdmission } from '#accounts/key-admission.js';
import { Credentials } from '#accounts/credentials.service.js';
import { InboundEvents } from '#pipelines/hooks/inbound-events.service.js';
import type { FastifyRequest } from 'fastify';
import { EngineTokenGuard } from './engines/engine-token.guard.js';
import { signatureOf } from './pipelines/signature-headers.js';

/** Its caller has no key, and signs the body instead. */
const SIGNED_ROUTE = '/v1/hooks/fine-tune/:id';
/** The key, or the secret of a link, stands in the body. */
const SIGN_IN_ROUTE = '/v1/session';

/** Its caller is an engine. */
const ENGINE_ROUTE = '/internal/engines/:name';

/** Who may send the public API a body: keys, and senders of messages to a hook that is there. */
@Injectable()
export class ApiAdmission extends KeyAdmission {
  constructor(
    credentials: Credentials,
    private readonly events: InboundEvents,
    private readonly engines: EngineTokenGuard,
  ) {
    super(credentials);
  }

  override async admit(request: FastifyRequest): Promise<string> {
    const { url } = request.routeOptions;
    if (url === SIGN_IN_ROUTE && request.method === 'POST') return `sign-in:${request.ip}`;
    if (url === ENGINE_ROUTE) return this.engines.check(request);
    if (url !== SIGNED_ROUTE) return super.admit(request);
    const { id = '' } = request.params as { id?: string };
    await this.events.expect(id, signatureOf(request));
    return `hook:${id}`;
  }
}
