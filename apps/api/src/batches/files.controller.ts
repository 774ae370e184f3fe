import { Readable } from 'node:stream';
import { Controller, Delete, Get, HttpCode, Param, Post, Query, Req, Res } from '@nestjs/common';
import {
  ApiBody,
  ApiConsumes,
  ApiHeader,
  ApiOkResponse,
  ApiOperation,
  ApiProduces,
  ApiResponse,
  ApiTags,
} from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { type Caller, CurrentCaller, RequireScope } from '#accounts/caller.js';
import { FilesService } from '#batches/files/files.service.js';
import {
  FileListSchema,
  type FileList,
  type FileQuery,
  FileQuerySchema,
  type FileResource,
  FileSchema,
} from '#contracts/openai/files.js';
import { DeletedSchema } from '#contracts/resource.js';
import { AppError } from '#runtime/app-error.js';
import { TakesBody } from '#runtime/edge/body-kinds.js';
import { OpenStreams } from '#runtime/open-streams.js';
import { sendFile } from '../http/send-file.js';
import { FILE_BODY } from './file-body.js';

const BINARY = { schema: { type: 'string', format: 'binary' } } as const;
const CONTENT = { 'application/octet-stream': BINARY };

@ApiTags('Batches')
@Controller('v1/files')
@RequireScope('inference')
export class FilesController {
  constructor(
    private readonly files: FilesService,
    private readonly streams: OpenStreams,
  ) {}

  @TakesBody('files')
  @Post()
  @HttpCode(200)
  @ApiOperation({ summary: "Upload a batch's requests, one JSON object on each line" })
  @ApiConsumes('multipart/form-data')
  @ApiBody(FILE_BODY)
  @ApiOkResponse({ standardSchema: FileSchema })
  upload(
    @CurrentCaller() { tenant }: Caller,
    @Req() { body, headers }: FastifyRequest,
  ): Promise<FileResource> {
    if (!(body instanceof Readable))
      throw new AppError('unsupported_media_type', { message: 'Send the file as multipart/form-data.' });
    return this.files.upload(tenant.id, { headers, body });
  }

  @Get()
  @ApiOperation({ summary: 'List files' })
  @ApiOkResponse({ standardSchema: FileListSchema })
  list(
    @CurrentCaller() { tenant }: Caller,
    @Query({ schema: FileQuerySchema }) query: FileQuery,
  ): Promise<FileList> {
    return this.files.list(tenant.id, query);
  }

  @Get(':file_id')
  @ApiOperation({ summary: 'Get a file' })
  @ApiOkResponse({ standardSchema: FileSchema })
  get(@CurrentCaller() { tenant }: Caller, @Param('file_id') file: string): Promise<FileResource> {
    return this.files.get(tenant.id, file);
  }

  @Get(':file_id/content')
  @ApiOperation({ summary: "Download a file's content, or a part of it" })
  @ApiHeader({ name: 'range', required: false, description: 'One range of bytes, e.g. `bytes=1000-`' })
  @ApiProduces('application/octet-stream')
  @ApiOkResponse({ description: 'The file', content: CONTENT })
  @ApiResponse({ status: 206, description: 'The part that was asked for', content: CONTENT })
  async content(
    @CurrentCaller() { tenant }: Caller,
    @Param('file_id') file: string,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const blob = await this.files.find(tenant.id, file);
    await sendFile(
      { blob, open: (range) => this.files.open(blob, range), streams: this.streams },
      request,
      reply,
    );
  }

  @Delete(':file_id')
  @ApiOperation({
    summary: 'Delete a file',
    description: 'Refused (409) while a batch that has not ended reads it.',
  })
  @ApiOkResponse({ standardSchema: DeletedSchema })
  async remove(
    @CurrentCaller() { tenant }: Caller,
    @Param('file_id') file: string,
  ): Promise<z.infer<typeof DeletedSchema>> {
    await this.files.remove(tenant.id, file);
    return { id: file, object: 'file', deleted: true };
  }
}
