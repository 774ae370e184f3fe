import { Body, Controller, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { GenerateRequestSchema } from '#contracts/engine-protocol.js';
import { AppError } from '#runtime/app-error.js';
import { OpenStreams } from '#runtime/open-streams.js';
import { currentRequest } from '#runtime/request-context.js';
import { EngineHost } from './engine-host.js';
import { tracedPhases } from './generation-phases.js';
import { parseBody } from './parse-body.js';
import { writeNdjson } from './ndjson-writer.js';
import { TakesBody } from '#runtime/edge/body-kinds.js';

@Controller()
export class GenerateController {
  constructor(
    private readonly host: EngineHost,
    private readonly streams: OpenStreams,
  ) {}

  /** Faults found before the request is admitted answer with their status; then the stream of events begins. */
  @TakesBody('prompt')
  @Post('generate')
  async generate(
    @Body() body: unknown,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const asked = parseBody(GenerateRequestSchema, body);
    const { controller, done } = this.streams.open();
    const { signal } = controller;
    // Also emitted after a normal end, when aborting changes nothing.
    reply.raw.once('close', () => controller.abort(new AppError('client_closed_request')));
    try {
      const span = currentRequest()?.span;
      const arrival_ms = performance.now();
      const given = await this.host.engine().generate(asked, signal);
      const events = span ? tracedPhases(given, span, arrival_ms) : given;
      reply.hijack();
      reply.raw.writeHead(200, {
        'content-type': 'application/x-ndjson; charset=utf-8',
        'cache-control': 'no-store',
        'x-request-id': request.id,
      });
      await writeNdjson(reply.raw, events, signal).catch((error: unknown) => {
        if (!signal.aborted) throw error; // the client is gone, or we are shutting down
      });
    } finally {
      if (reply.raw.headersSent) reply.raw.end();
      done();
    }
  }
}
