import { Controller, Get, Param, Req, Res } from '@nestjs/common';
import { ApiHeader, ApiOkResponse, ApiOperation, ApiProduces, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { type Caller, CurrentCaller, RequireScope } from '#accounts/caller.js';
import { VersionFilesService } from '#adapters/blobs/version-files.service.js';
import type { List } from '#contracts/resource.js';
import { VersionFileListSchema, type VersionFileResource } from '#contracts/version-files-api.js';
import { AppError } from '#runtime/app-error.js';
import { OpenStreams } from '#runtime/open-streams.js';
import { followClient } from '../http/client-connection.js';
import { readRange } from './byte-range.js';

const VersionPathSchema = z.object({
  adapter: z.string(),
  version: z.coerce
    .number()
    .int()
    .positive()
    .max(2 ** 31 - 1),
});
const FilePathSchema = VersionPathSchema.extend({ file: z.string() });
const BINARY = { schema: { type: 'string', format: 'binary' } } as const;

@ApiTags('Adapters')
@Controller('v1/adapters/:adapter/versions/:version/files')
@RequireScope('adapters')
export class VersionFilesController {
  constructor(
    private readonly files: VersionFilesService,
    private readonly streams: OpenStreams,
  ) {}

  @Get()
  @ApiOperation({ summary: "List a version's files" })
  @ApiOkResponse({ standardSchema: VersionFileListSchema })
  list(
    @CurrentCaller() { tenant }: Caller,
    @Param({ schema: VersionPathSchema }) path: z.infer<typeof VersionPathSchema>,
  ): Promise<List<VersionFileResource>> {
    return this.files.list({ tenantId: tenant.id, ...path });
  }

  @Get(':file')
  @ApiOperation({
    summary: 'Download a file of a version, or a part of it',
    description: 'Its `etag` is the SHA-256 of the whole file, in hex.',
  })
  @ApiHeader({ name: 'range', required: false, description: 'One range of bytes, e.g. `bytes=1000-`' })
  @ApiProduces('application/octet-stream')
  @ApiOkResponse({ description: 'The file', content: { 'application/octet-stream': BINARY } })
  @ApiResponse({
    status: 206,
    description: 'The part that was asked for',
    content: { 'application/octet-stream': BINARY },
  })
  async download(
    @CurrentCaller() { tenant }: Caller,
    @Param({ schema: FilePathSchema }) { file: name, ...path }: z.infer<typeof FilePathSchema>,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const { sha256, bytes } = await this.files.find({ tenantId: tenant.id, ...path }, name);
    const etag = `"${sha256}"`;
    void reply.headers({ etag, 'accept-ranges': 'bytes', 'cache-control': 'private, no-cache' });
    if (request.headers['if-none-match'] === etag) return void reply.status(304).send();
    const range = readRange(request.headers, bytes, etag);
    if (range === 'unsatisfiable') {
      void reply.header('content-range', `bytes */${bytes}`);
      throw new AppError('range_not_satisfiable', {
        message: `The file has ${bytes} bytes.`,
        param: 'range',
      });
    }
    const { begin, end } = range === 'whole' ? { begin: 0, end: bytes } : range;
    const body = await this.files.blobs.open(sha256, { begin, end });
    const { controller, done } = followClient(reply, this.streams);
    controller.signal.addEventListener('abort', () => body.destroy());
    body.once('close', done);
    void reply.headers({ 'content-length': end - begin, 'content-disposition': 'attachment' });
    if (range !== 'whole') {
      void reply.status(206).header('content-range', `bytes ${begin}-${end - 1}/${bytes}`);
    }
    void reply.type('application/octet-stream').send(body);
  }
}
