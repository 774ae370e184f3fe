import { Controller, HttpCode, Param, Post, Req } from '@nestjs/common';
import { ApiAcceptedResponse, ApiBody, ApiHeader, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { FineTuneEventSchema } from '#contracts/fine-tune-events.js';
import { type HookDelivery, HookDeliverySchema } from '#contracts/hooks-api.js';
import { InboundEvents } from '#pipelines/hooks/inbound-events.service.js';
import type { SignatureHeaders } from '#pipelines/signatures.js';
import { actAs } from '#runtime/request-context.js';
import { parseMessage } from './fine-tune-message.js';
import { signatureOf } from './signature-headers.js';
import { TakesBody } from '#runtime/edge/body-kinds.js';

const { $schema: _, ...event } = z.toJSONSchema(FineTuneEventSchema, { io: 'input', unrepresentable: 'any' });
const header = (name: keyof SignatureHeaders, description: string) => ({ name, description, required: true });

@ApiTags('Fine-tune pipelines')
@Controller('v1/hooks/fine-tune')
export class InboundController {
  constructor(private readonly events: InboundEvents) {}

  @TakesBody('signed')
  @Post(':id')
  @HttpCode(202)
  @ApiOperation({
    summary: 'Announce a trained adapter, or how a training goes',
    description:
      "Signed by Standard Webhooks with the hook's or the trainer's secret, instead of a key. Answered at once: " +
      'the version is made afterwards. The same `webhook-id` again answers the same and has no further effect.',
    security: [],
  })
  @ApiHeader(header('webhook-id', 'Names the message; a repetition has the same'))
  @ApiHeader(header('webhook-timestamp', 'Unix seconds; at most five minutes off'))
  @ApiHeader(header('webhook-signature', '`v1,` and the signature; several are separated by spaces'))
  @ApiBody({ schema: event as object })
  @ApiAcceptedResponse({ standardSchema: HookDeliverySchema })
  async receive(@Param('id') id: string, @Req() request: FastifyRequest): Promise<HookDelivery> {
    const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
    const headers = signatureOf(request);
    const sender = await this.events.authenticate(id, headers, body);
    const message = parseMessage(headers['webhook-id'] ?? '', body);
    return actAs({ type: 'hook', id: sender.id }, () => this.events.accept(sender, message));
  }
}
