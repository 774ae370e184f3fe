import { Body, Controller, Delete, Get, Post, Put, Req, Res } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import {
  type OpenSession,
  OpenSessionSchema,
  type SessionResource,
  SessionSchema,
  SignInLinkSchema,
  type SignInLinkResource,
  type ViewAs,
  ViewAsSchema,
} from '#contracts/session-api.js';
import { DeletedSchema } from '#contracts/resource.js';
import { sessionCookie } from '#accounts/sessions/session-cookie.js';
import type { z } from 'zod';
import { SessionService } from './session.service.js';

/** People sign in here once with a key; the console then goes by a cookie. */
@ApiTags('Keys')
@Controller('v1/session')
export class SessionController {
  constructor(private readonly sessions: SessionService) {}

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
  @ApiOkResponse({ standardSchema: DeletedSchema })
  async close(
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<z.infer<typeof DeletedSchema>> {
    await this.sessions.close(this.sessions.secretOf(request));
    void reply.header('set-cookie', sessionCookie('', 0, this.sessions.isSecure(request)));
    return { id: 'current', object: 'session', deleted: true };
  }
}
