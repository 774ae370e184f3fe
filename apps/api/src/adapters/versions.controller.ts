import { Readable } from 'node:stream';
import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Query, Req, Res } from '@nestjs/common';
import {
  ApiBody,
  ApiConsumes,
  ApiCreatedResponse,
  ApiOkResponse,
  ApiOperation,
  ApiTags,
} from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { type Caller, CurrentCaller, RequireScope } from '#accounts/caller.js';
import { LineageService } from '#adapters/registry/lineage.service.js';
import { ImportsService } from '#adapters/imports/imports.service.js';
import { UploadsService } from '#adapters/intake/uploads.service.js';
import { VersionWaiter } from '#adapters/registry/version-waiter.service.js';
import { VersionsService } from '#adapters/registry/versions.service.js';
import {
  isSet,
  type ReportPage,
  ReportPageSchema,
  type ReportQuery,
  ReportQuerySchema,
  type UploadQuery,
  UploadQuerySchema,
  VersionListSchema,
  type VersionResource,
  VersionSchema,
} from '#contracts/adapters-api.js';
import {
  type Lineage,
  LineageQuerySchema,
  LineageSchema,
  type PatchVersion,
  PatchVersionSchema,
  type VersionFilter,
  VersionFilterSchema,
} from '#contracts/lineage-api.js';
import { DeletedSchema, type List, NameSchema } from '#contracts/resource.js';
import { EngineFleet } from '#fleet/engine-fleet.js';
import { AppError } from '#runtime/app-error.js';
import { OpenStreams } from '#runtime/open-streams.js';
import { followClient } from '../http/client-connection.js';
import { BaseModelRules } from './base-model-rules.service.js';
import { parseImportBody } from './import-body.js';
import { LastServed } from './last-served.service.js';
import { UPLOAD_BODY } from './upload-body.js';
import { TakesBody } from '#runtime/edge/body-kinds.js';

const AdapterPathSchema = z.object({ adapter: NameSchema });
const VersionPathSchema = z.object({
  adapter: z.string(),
  version: z.coerce
    .number()
    .int()
    .positive()
    .max(2 ** 31 - 1),
});
type VersionPath = z.infer<typeof VersionPathSchema>;

@ApiTags('Adapters')
@Controller('v1/adapters/:adapter/versions')
@RequireScope('adapters')
export class VersionsController {
  constructor(
    private readonly versions: VersionsService,
    private readonly uploads: UploadsService,
    private readonly imports: ImportsService,
    private readonly lineage: LineageService,
    private readonly waiter: VersionWaiter,
    private readonly served: LastServed,
    private readonly rules: BaseModelRules,
    private readonly fleet: EngineFleet,
    private readonly streams: OpenStreams,
  ) {}

  @TakesBody('files')
  @Post()
  @HttpCode(201)
  @ApiOperation({
    summary: 'Upload a version, or import one',
    description:
      'Files are sent as `multipart/form-data` (parts are known by their file names and may come in any order), or named in JSON, from where the server fetches them as a job. With `wait`, a rejected version answers 422.',
  })
  @ApiConsumes('multipart/form-data', 'application/json')
  @ApiBody(UPLOAD_BODY)
  @ApiCreatedResponse({ standardSchema: VersionSchema })
  async upload(
    @CurrentCaller() { tenant }: Caller,
    @Param({ schema: AdapterPathSchema }) { adapter }: z.infer<typeof AdapterPathSchema>,
    @Query({ schema: UploadQuerySchema }) query: UploadQuery,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<VersionResource> {
    const { body, headers } = request;
    const create = isSet(query.create);
    const requireBaseMatch = isSet(query.require_base_match);
    const target = { tenantId: tenant.id, adapter, create, requireBaseMatch };
    const order = body instanceof Readable ? undefined : parseImportBody(body);
    if (create) await this.rules.check({ name: adapter });
    const version = order
      ? await this.imports.start({ ...target, ...order })
      : await this.uploads.upload(target, { headers, body: body as Readable });
    if (query.wait === 0) return version;
    const { controller, done } = followClient(reply, this.streams);
    try {
      const settled = await this.waiter.settled(tenant.id, version, query.wait * 1000, controller.signal);
      if (settled.state === 'rejected') throw rejected(settled);
      return settled;
    } finally {
      done();
    }
  }

  @Get()
  @ApiOperation({ summary: 'List versions, newest first' })
  @ApiOkResponse({ standardSchema: VersionListSchema })
  async list(
    @CurrentCaller() { tenant }: Caller,
    @Param('adapter') adapter: string,
    @Query({ schema: VersionFilterSchema }) query: VersionFilter,
  ): Promise<List<VersionResource>> {
    const page = await this.versions.list(tenant.id, adapter, query);
    return { ...page, data: await this.served.of(tenant.id, page.data) };
  }

  @Get(':version')
  @ApiOperation({ summary: 'Get a version with its report' })
  @ApiOkResponse({ standardSchema: VersionSchema })
  async get(
    @CurrentCaller() { tenant }: Caller,
    @Param({ schema: VersionPathSchema }) { adapter, version }: VersionPath,
  ): Promise<VersionResource> {
    const found = await this.versions.get(tenant.id, adapter, version);
    return this.served.ofOne(tenant.id, found);
  }

  @Patch(':version')
  @ApiOperation({
    summary: 'Change what is said of a version',
    description: 'Each field that is given replaces what stood there. What the version holds never changes.',
  })
  @ApiOkResponse({ standardSchema: VersionSchema })
  async patch(
    @CurrentCaller() { tenant }: Caller,
    @Param({ schema: VersionPathSchema }) { adapter, version }: VersionPath,
    @Body({ schema: PatchVersionSchema }) body: PatchVersion,
  ): Promise<VersionResource> {
    return this.served.ofOne(tenant.id, await this.versions.patch(tenant.id, adapter, version, body));
  }

  @Get(':version/report')
  @ApiOperation({ summary: "Get one part of a version's report, page by page" })
  @ApiOkResponse({ standardSchema: ReportPageSchema })
  report(
    @CurrentCaller() { tenant }: Caller,
    @Param({ schema: VersionPathSchema }) { adapter, version }: VersionPath,
    @Query({ schema: ReportQuerySchema }) query: ReportQuery,
  ): Promise<ReportPage> {
    return this.versions.reportPage(tenant.id, adapter, version, query);
  }

  @Get(':version/lineage')
  @ApiOperation({ summary: 'Get the versions from which one was made, and those made from it' })
  @ApiOkResponse({ standardSchema: LineageSchema })
  getLineage(
    @CurrentCaller() { tenant }: Caller,
    @Param({ schema: VersionPathSchema }) { adapter, version }: VersionPath,
    @Query({ schema: LineageQuerySchema }) { depth }: z.infer<typeof LineageQuerySchema>,
  ): Promise<Lineage> {
    return this.lineage.get(tenant.id, adapter, version, depth);
  }

  @Post(':version/cancel')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Cancel an import',
    description:
      'The version is rejected and what was fetched is freed. 409 for a version that is not being imported.',
  })
  @ApiOkResponse({ standardSchema: VersionSchema })
  cancel(
    @CurrentCaller() { tenant }: Caller,
    @Param({ schema: VersionPathSchema }) { adapter, version }: VersionPath,
  ): Promise<VersionResource> {
    return this.imports.cancel(tenant.id, adapter, version);
  }

  @Delete(':version')
  @ApiOperation({
    summary: 'Delete a version',
    description:
      'Refused with 409 while an alias other than `latest` routes to it. Its number is not given again.',
  })
  @ApiOkResponse({ standardSchema: DeletedSchema })
  async remove(
    @CurrentCaller() { tenant }: Caller,
    @Param({ schema: VersionPathSchema }) { adapter, version }: VersionPath,
  ): Promise<z.infer<typeof DeletedSchema>> {
    const { id, digests } = await this.versions.remove(tenant.id, adapter, version);
    await Promise.all(digests.map((digest) => this.fleet.dropAdapter(digest)));
    return { id, object: 'adapter.version', deleted: true };
  }
}

function rejected(version: VersionResource): AppError {
  const reason = version.failure ?? version.report?.errors[0]?.message;
  return new AppError('adapter_rejected', {
    message: `Version ${version.version} was rejected${reason === undefined ? '.' : `: ${reason}`}`,
    extra: { version },
  });
}
