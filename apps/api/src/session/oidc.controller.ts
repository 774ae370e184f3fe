import { Controller, Get, Inject, Query, Req, Res } from '@nestjs/common';
import { ApiFoundResponse, ApiOkResponse, ApiOperation, ApiSeeOtherResponse, ApiTags } from '@nestjs/swagger';
import { attemptCookie, attemptOf, consolePath } from '#accounts/sessions/oidc-attempt.js';
import { OidcClient, type ProvenPerson } from '#accounts/sessions/oidc-client.service.js';
import { PersonSignIn } from '#accounts/sessions/person-sign-in.service.js';
import { sessionCookie } from '#accounts/sessions/session-cookie.js';
import { ACCOUNTS_LOGGER, ACCOUNTS_SETTINGS, type accountsSettings } from '#accounts/settings.js';
import { type SignInMethods, SignInMethodsSchema, type SignInRefusal } from '#contracts/session-api.js';
import { AppError } from '#runtime/app-error.js';
import type { Logger } from '#runtime/logger.js';
import type { SettingsOf } from '#runtime/settings.js';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { BaseUrl } from '../pipelines/base-url.js';
import { SessionService } from './session.service.js';

const CALLBACK = '/v1/session/oidc/callback';
const StartQuerySchema = z.object({ next: z.string().optional().describe('A path of the console') });

/** Signing in to the console as a person whom an OpenID Connect provider knows. Browsers come here, not programs. */
@ApiTags('Keys')
@Controller('v1/session')
export class OidcController {
  constructor(
    private readonly sessions: SessionService,
    private readonly oidc: OidcClient,
    private readonly people: PersonSignIn,
    private readonly baseUrl: BaseUrl,
    @Inject(ACCOUNTS_SETTINGS) private readonly settings: SettingsOf<typeof accountsSettings>,
    @Inject(ACCOUNTS_LOGGER) private readonly logger: Logger,
  ) {}

  @Get('methods')
  @ApiOperation({ summary: 'How one may sign in to the console', security: [] })
  @ApiOkResponse({ standardSchema: SignInMethodsSchema })
  methods(): SignInMethods {
    const { oidcIssuer, oidcName: name } = this.settings;
    const url = `${this.baseUrl.url}/v1/session/oidc/start`;
    return { object: 'session.methods', oidc: oidcIssuer === undefined ? null : { name, url } };
  }

  @Get('oidc/start')
  @ApiOperation({ summary: 'Send the browser to the OpenID Connect provider', security: [] })
  @ApiFoundResponse({ description: 'To the provider, or back to the sign-in page with `refused`' })
  async start(
    @Query({ schema: StartQuerySchema }) { next }: z.infer<typeof StartQuerySchema>,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    this.#expectProvider();
    try {
      const { url, attempt } = await this.oidc.begin(this.baseUrl.url + CALLBACK, consolePath(next));
      void reply.header('set-cookie', attemptCookie(attempt, this.sessions.isSecure(request)));
      await reply.header('cache-control', 'no-store').redirect(url, 302);
    } catch (error) {
      await this.#refuse(request, reply, 'provider', error);
    }
  }

  @Get('oidc/callback')
  @ApiOperation({ summary: 'Where the OpenID Connect provider sends the browser back', security: [] })
  @ApiSeeOtherResponse({
    description: 'To the console with a session cookie, or to the sign-in page with `refused`',
  })
  async callback(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    this.#expectProvider();
    const attempt = attemptOf(request.headers);
    if (!attempt) return this.#refuse(request, reply, 'expired');
    const query = new URL(request.url, this.baseUrl.url).searchParams;
    if (query.get('state') !== attempt.state) return this.#refuse(request, reply, 'expired');
    // Never by the header `host`: where the provider was told to come back to.
    const url = new URL(`${this.baseUrl.url}${CALLBACK}?${query}`);
    let person: ProvenPerson;
    try {
      person = await this.oidc.finish(url, attempt);
    } catch (error) {
      const reason = query.get('error') === 'access_denied' ? 'cancelled' : 'provider';
      return this.#refuse(request, reply, reason, error);
    }
    const result = await this.people.signIn(person, attempt.state);
    if (result.kind === 'refused') return this.#refuse(request, reply, result.reason);
    const secure = this.sessions.isSecure(request);
    void reply.header('set-cookie', [
      sessionCookie(result.secret, this.settings.oidcSessionMax_s, secure),
      attemptCookie(undefined, secure),
    ]);
    await reply.header('cache-control', 'no-store').redirect(`/console${attempt.next}`, 303);
  }

  #expectProvider(): void {
    if (this.settings.oidcIssuer === undefined)
      throw new AppError('not_found', {
        message: 'There is no OpenID Connect provider: OIDC_ISSUER is unset.',
      });
  }

  /** The person reads why on the sign-in page; the operator reads more in the log. */
  async #refuse(
    request: FastifyRequest,
    reply: FastifyReply,
    reason: SignInRefusal,
    error?: unknown,
  ): Promise<void> {
    this.logger.warn(
      { reason, err: error, request_id: request.id },
      'signing in by OpenID Connect was refused',
    );
    const query = new URLSearchParams({ refused: reason, request: request.id });
    void reply.header('set-cookie', attemptCookie(undefined, this.sessions.isSecure(request)));
    await reply.header('cache-control', 'no-store').redirect(`/console/sign-in?${query}`, 303);
  }
}
