import { Controller, Get, Param, Req, Res } from '@nestjs/common';
import { ApiHeader, ApiOkResponse, ApiOperation, ApiProduces, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { type Caller, CurrentCaller, RequireScope } from '#accounts/caller.js';
import { VersionFilesService } from '#adapters/blobs/version-files.service.js';
import type { List } from '#contracts/resource.js';
import { VersionFileListSchema, type VersionFileResource } from '#contracts/version-files-api.js';
import { OpenStreams } from '#runtime/open-streams.js';
import type { ByteRange } from '../http/byte-range.js';
import { sendFile } from '../http/send-file.js';

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
    const blob = await this.files.find({ tenantId: tenant.id, ...path }, name);
    const open = (range: ByteRange) => this.files.blobs.open(blob.sha256, range);
    await sendFile({ blob, open, streams: this.streams }, request, reply);
  }
}
