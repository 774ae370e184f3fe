import { Body, Controller, Delete, Get, Post, Put, Req, Res } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import {
  type ClosedSession,
  ClosedSessionSchema,
  type OpenSession,
  OpenSessionSchema,
  type SessionResource,
  SessionSchema,
  SignInLinkSchema,
  type SignInLinkResource,
  type ViewAs,
  ViewAsSchema,
} from '#contracts/session-api.js';
import { sessionCookie } from '#accounts/sessions/session-cookie.js';
import { OidcClient } from '#accounts/sessions/oidc-client.service.js';
import { BaseUrl } from '../pipelines/base-url.js';
import { SessionService } from './session.service.js';

/** People sign in here once with a key; the console then goes by a cookie. */
@ApiTags('Keys')
@Controller('v1/session')
export class SessionController {
  constructor(
    private readonly sessions: SessionService,
    private readonly oidc: OidcClient,
    private readonly baseUrl: BaseUrl,
  ) {}

  @Post()
  @ApiOperation({ summary: 'Sign in to the console: a key, or a sign-in link, becomes a session cookie' })
  @ApiCreatedResponse({ standardSchema: SessionSchema })
  async open(
    @Body({ schema: OpenSessionSchema }) body: OpenSession,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<SessionResource> {
    const { secret, maxAge_s } = await this.sessions.open(body);
    const session = await this.sessions.describe(secret);
    void reply.header('set-cookie', sessionCookie(secret, maxAge_s, this.sessions.isSecure(request)));
    return session;
  }

  @Get()
  @ApiOperation({ summary: 'Get the session of the cookie' })
  @ApiOkResponse({ standardSchema: SessionSchema })
  get(@Req() request: FastifyRequest): Promise<SessionResource> {
    return this.sessions.describe(this.sessions.secretOf(request));
  }

  @Put('view')
  @ApiOperation({
    summary: "Look at the console as a tenant, read-only, or leave that view (an operator's session)",
  })
  @ApiOkResponse({ standardSchema: SessionSchema })
  async view(
    @Body({ schema: ViewAsSchema }) { tenant }: ViewAs,
    @Req() request: FastifyRequest,
  ): Promise<SessionResource> {
    const secret = this.sessions.secretOf(request);
    await this.sessions.view(secret, tenant);
    return this.sessions.describe(secret);
  }

  @Post('links')
  @ApiOperation({ summary: 'Make a link that signs in once as the key of this call' })
  @ApiCreatedResponse({ standardSchema: SignInLinkSchema })
  link(@Req() request: FastifyRequest): Promise<SignInLinkResource> {
    return this.sessions.link(request);
  }

  @Delete()
  @ApiOperation({ summary: 'Sign out' })
  @ApiOkResponse({ standardSchema: ClosedSessionSchema })
  async close(
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<ClosedSession> {
    const { person } = await this.sessions.close(this.sessions.secretOf(request));
    void reply.header('set-cookie', sessionCookie('', 0, this.sessions.isSecure(request)));
    const afterwards = `${this.baseUrl.url}/console/sign-in`;
    const url = person ? await this.oidc.endSessionUrl(afterwards) : undefined;
    return { id: 'current', object: 'session', deleted: true, end_session_url: url ?? null };
  }
}
