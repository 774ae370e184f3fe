import { pipeline } from 'node:stream/promises';
import { Controller, Get, Param, Res } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiProduces, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { pack } from 'tar-stream';
import { z } from 'zod';
import { type Caller, CurrentCaller, RequireScope } from '#accounts/caller.js';
import { VersionFilesService } from '#adapters/blobs/version-files.service.js';
import type { VersionFileResource } from '#contracts/version-files-api.js';
import { OpenStreams } from '#runtime/open-streams.js';
import { followClient } from '../http/client-connection.js';

const VersionPathSchema = z.object({
  adapter: z.string(),
  version: z.coerce
    .number()
    .int()
    .positive()
    .max(2 ** 31 - 1),
});
/** The same files are the same archive. */
const NO_TIME = new Date(0);

@ApiTags('Adapters')
@Controller('v1/adapters/:adapter/versions/:version/export')
@RequireScope('adapters')
export class VersionExportController {
  constructor(
    private readonly files: VersionFilesService,
    private readonly streams: OpenStreams,
  ) {}

  @Get()
  @ApiOperation({
    summary: 'Download the folder that came in, as a tar archive',
    description:
      'Every file that was uploaded or imported, byte for byte. What was left out at the upload is not there.',
  })
  @ApiProduces('application/x-tar')
  @ApiOkResponse({
    description: 'The archive',
    content: { 'application/x-tar': { schema: { type: 'string', format: 'binary' } } },
  })
  async export(
    @CurrentCaller() { tenant }: Caller,
    @Param({ schema: VersionPathSchema }) path: z.infer<typeof VersionPathSchema>,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const files = await this.files.asTheyCame({ tenantId: tenant.id, ...path });
    const archive = pack();
    const { controller, done } = followClient(reply, this.streams);
    const { signal } = controller;
    signal.addEventListener('abort', () => archive.destroy());
    archive.once('close', done);
    const folder = `${path.adapter}-${path.version}`;
    void reply
      .headers({
        'cache-control': 'private, no-cache',
        'content-disposition': `attachment; filename="${folder}.tar"`,
      })
      .type('application/x-tar')
      .send(archive);
    try {
      for (const file of files) await this.#add(archive, folder, file, signal);
      archive.finalize();
    } catch (error) {
      archive.destroy(error instanceof Error ? error : undefined);
    }
  }

  async #add(
    archive: ReturnType<typeof pack>,
    folder: string,
    { id, bytes, sha256 }: VersionFileResource,
    signal: AbortSignal,
  ): Promise<void> {
    const entry = archive.entry({ name: `${folder}/${id}`, size: bytes, mode: 0o644, mtime: NO_TIME });
    await pipeline(await this.files.blobs.open(sha256), entry, { signal });
  }
}
