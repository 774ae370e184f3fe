import {
  Body,
  Controller,
  Delete,
  Get,
  HttpCode,
  Inject,
  Param,
  Post,
  Query,
  Req,
  Res,
} from '@nestjs/common';
import {
  ApiAcceptedResponse,
  ApiHeader,
  ApiOkResponse,
  ApiOperation,
  ApiProduces,
  ApiResponse,
  ApiTags,
} from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { type Caller, CurrentCaller, RequireScope } from '#accounts/caller.js';
import { Merges } from '#adapters/merges/merges.service.js';
import {
  MergeListSchema,
  type MergeResource,
  MergeSchema,
  type StartMerge,
  StartMergeSchema,
} from '#contracts/merges-api.js';
import { DeletedSchema, type List, type PageQuery, PageQuerySchema } from '#contracts/resource.js';
import { EngineFleet } from '#fleet/engine-fleet.js';
import { OpenStreams } from '#runtime/open-streams.js';
import type { BlobStore } from '#stores/blobs/blob-store.js';
import { BLOBS } from '#stores/stores.module.js';
import { sendFile } from '../http/send-file.js';

const VersionPathSchema = z.object({
  adapter: z.string(),
  version: z.coerce
    .number()
    .int()
    .positive()
    .max(2 ** 31 - 1),
});
const CONTENT = { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } } as const;

@ApiTags('Adapters')
@Controller('v1')
@RequireScope('adapters')
export class MergesController {
  constructor(
    private readonly merges: Merges,
    private readonly fleet: EngineFleet,
    private readonly streams: OpenStreams,
    @Inject(BLOBS) private readonly blobs: BlobStore,
  ) {}

  @Post('adapters/:adapter/versions/:version/merges')
  @HttpCode(202)
  @ApiOperation({
    summary: "Merge a version into the base model's weights, as a checkpoint that Transformers opens",
    description:
      'A job: its archive can be downloaded when it is ready, and is deleted after a while. The same order again, while it is ' +
      'open or its archive is kept, is the same merge.',
  })
  @ApiAcceptedResponse({ standardSchema: MergeSchema })
  async start(
    @CurrentCaller() { tenant }: Caller,
    @Param({ schema: VersionPathSchema }) path: z.infer<typeof VersionPathSchema>,
    @Body({ schema: StartMergeSchema }) options: StartMerge,
  ): Promise<MergeResource> {
    return this.merges.start({ tenantId: tenant.id, base: await this.fleet.base(), ...path }, options);
  }

  @Get('merges')
  @ApiOperation({ summary: 'List merges, newest first' })
  @ApiOkResponse({ standardSchema: MergeListSchema })
  list(
    @CurrentCaller() { tenant }: Caller,
    @Query({ schema: PageQuerySchema }) query: PageQuery,
  ): Promise<List<MergeResource>> {
    return this.merges.list(tenant.id, query);
  }

  @Get('merges/:merge')
  @ApiOperation({ summary: 'Get how far a merge is' })
  @ApiOkResponse({ standardSchema: MergeSchema })
  get(@CurrentCaller() { tenant }: Caller, @Param('merge') merge: string): Promise<MergeResource> {
    return this.merges.get(tenant.id, merge);
  }

  @Get('merges/:merge/content')
  @ApiOperation({ summary: 'Download a merged checkpoint as a tar archive, or a part of it' })
  @ApiHeader({ name: 'range', required: false, description: 'One range of bytes, e.g. `bytes=1000-`' })
  @ApiProduces('application/octet-stream')
  @ApiOkResponse({ description: 'The archive', content: CONTENT })
  @ApiResponse({ status: 206, description: 'The part that was asked for', content: CONTENT })
  async content(
    @CurrentCaller() { tenant }: Caller,
    @Param('merge') merge: string,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const blob = await this.merges.archive(tenant.id, merge);
    await sendFile(
      { blob, open: (range) => this.blobs.open(blob.sha256, range), streams: this.streams },
      request,
      reply,
    );
  }

  @Delete('merges/:merge')
  @ApiOperation({ summary: 'Delete a merge with its archive, or end it' })
  @ApiOkResponse({ standardSchema: DeletedSchema })
  async remove(
    @CurrentCaller() { tenant }: Caller,
    @Param('merge') merge: string,
  ): Promise<z.infer<typeof DeletedSchema>> {
    await this.merges.remove(tenant.id, merge);
    return { id: merge, object: 'merge', deleted: true };
  }
}
