import { Controller, Delete, Get, Head, Logger, Options, Param, Patch, Post, Req, Res } from '@nestjs/common';
import {
  ApiBody,
  ApiConsumes,
  ApiHeader,
  ApiOkResponse,
  ApiOperation,
  ApiResponse,
  ApiTags,
} from '@nestjs/swagger';
import { Server } from '@tus/server';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { type Caller, CurrentCaller, RequireScope } from '#accounts/caller.js';
import { ResumableUploads } from '#adapters/resumable/resumable-uploads.service.js';
import { ERROR_TABLE } from '#contracts/errors.js';
import { type UploadResource, UploadSchema } from '#contracts/uploads-api.js';
import { toEnvelope } from '#runtime/app-error.js';
import { asAppError } from '#runtime/error-filter.js';
import { newId } from '#stores/ids.js';
import { asDependencyError } from '#stores/postgres/database-error.js';
import { TusStore } from './tus-store.js';
import { UploadLocker } from './upload-locker.js';
import { TakesBody } from '#runtime/edge/body-kinds.js';

const PATH = '/v1/uploads';
const UploadPathSchema = z.object({ upload: z.uuid() });
type UploadPath = z.infer<typeof UploadPathSchema>;

const OCTETS = 'application/offset+octet-stream';
const BYTES = { type: 'string', format: 'binary' } as const;
const TUS_RESUMABLE = { name: 'tus-resumable', schema: { type: 'string' as const, enum: ['1.0.0'] } };
const UPLOAD_OFFSET = { name: 'upload-offset', schema: { type: 'integer' as const } };

/** The tus protocol, version 1.0.0, with creation, termination and expiration. */
@ApiTags('Uploads')
@Controller('v1/uploads')
@RequireScope('adapters')
export class TusController {
  readonly #locker = new UploadLocker();

  constructor(private readonly uploads: ResumableUploads) {}

  @TakesBody('octets')
  @Post()
  @ApiOperation({
    summary: 'Begin a resumable upload (tus 1.0)',
    description:
      'The body may hold the first bytes. A version is made of finished uploads by `POST .../versions`.',
  })
  @ApiHeader(TUS_RESUMABLE)
  @ApiHeader({ name: 'upload-length', required: true, schema: { type: 'integer' } })
  @ApiConsumes(OCTETS)
  @ApiBody({ schema: BYTES, required: false })
  @ApiHeader({ name: 'upload-metadata', description: '`filename <base64>`, ...' })
  @ApiResponse({ status: 201, description: 'Made; `location` is its URL' })
  create(
    @CurrentCaller() caller: Caller,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    return this.#speakTus(caller, request, reply);
  }

  @Options()
  @ApiOperation({ summary: 'What the tus server can' })
  @ApiResponse({ status: 204, description: 'tus-version, tus-extension, tus-max-size' })
  options(
    @CurrentCaller() caller: Caller,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    return this.#speakTus(caller, request, reply);
  }

  @Head(':upload')
  @ApiOperation({ summary: 'How far a resumable upload is (tus 1.0)' })
  @ApiHeader(TUS_RESUMABLE)
  @ApiResponse({ status: 200, description: '`upload-offset`: the bytes that have come' })
  head(
    @CurrentCaller() caller: Caller,
    @Param({ schema: UploadPathSchema }) { upload }: UploadPath,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    return this.#speakTusOf(upload, caller, { request, reply });
  }

  @Get(':upload')
  @ApiOperation({ summary: 'Get a resumable upload' })
  @ApiOkResponse({ standardSchema: UploadSchema })
  async get(
    @CurrentCaller() { tenant }: Caller,
    @Param({ schema: UploadPathSchema }) { upload }: UploadPath,
  ): Promise<UploadResource> {
    const row = await this.uploads.get({ tenantId: tenant.id, id: upload });
    return {
      id: row.id,
      object: 'upload',
      bytes: row.bytes,
      received_bytes: row.receivedBytes,
      metadata: row.metadata,
      created_at: row.createdAt.toISOString(),
      expires_at: row.expiresAt.toISOString(),
    };
  }

  @TakesBody('octets')
  @Patch(':upload')
  @ApiOperation({
    summary: 'Send further bytes of a resumable upload (tus 1.0)',
    description: 'The body is `application/offset+octet-stream`.',
  })
  @ApiHeader(TUS_RESUMABLE)
  @ApiConsumes(OCTETS)
  @ApiBody({ schema: BYTES })
  @ApiHeader({ ...UPLOAD_OFFSET, required: true })
  @ApiResponse({ status: 204, description: '`upload-offset`: the bytes that have come' })
  patch(
    @CurrentCaller() caller: Caller,
    @Param({ schema: UploadPathSchema }) { upload }: UploadPath,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    return this.#speakTusOf(upload, caller, { request, reply });
  }

  @Delete(':upload')
  @ApiOperation({ summary: 'Give a resumable upload up and free its bytes (tus 1.0)' })
  @ApiHeader(TUS_RESUMABLE)
  @ApiResponse({ status: 204, description: 'Gone' })
  remove(
    @CurrentCaller() caller: Caller,
    @Param({ schema: UploadPathSchema }) { upload }: UploadPath,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    return this.#speakTusOf(upload, caller, { request, reply });
  }

  /** What is nobody's is told as everywhere, before the protocol has its say. */
  async #speakTusOf(
    id: string,
    caller: Caller,
    { request, reply }: { request: FastifyRequest; reply: FastifyReply },
  ): Promise<void> {
    await this.uploads.get({ tenantId: caller.tenant.id, id });
    await this.#speakTus(caller, request, reply);
  }

  /** Answers on the raw connection: the body of a request streams into storage, as it comes. */
  async #speakTus({ tenant }: Caller, request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const server = new Server({
      path: PATH,
      datastore: new TusStore(this.uploads, tenant.id),
      locker: this.#locker,
      maxSize: this.uploads.limitBytes,
      relativeLocation: true,
      allowedOrigins: [],
      namingFunction: () => newId(),
      onResponseError: (_, error) => tusError(error),
    });
    reply.hijack();
    reply.raw.setHeader('x-request-id', request.id);
    await server.handle(request.raw, reply.raw);
  }
}

const logger = new Logger('tus');

/** Our errors as tus answers; its own say themselves what is wrong. */
function tusError(thrown: Error | { status_code: number; body: string }) {
  if ('status_code' in thrown) return undefined;
  const error = asAppError(asDependencyError(thrown));
  if (ERROR_TABLE[error.code].logLevel === 'error') logger.error(thrown);
  const { status, body } = toEnvelope(error);
  return { status_code: status, body: JSON.stringify(body) };
}
