import { Inject, Injectable } from '@nestjs/common';
import type { Logger } from '#runtime/logger.js';
import type { SettingsOf } from '#runtime/settings.js';
import * as oidc from 'openid-client';
import { ACCOUNTS_LOGGER, ACCOUNTS_SETTINGS, type accountsSettings } from '../settings.js';
import { ATTEMPT_LIFE_S, type SignInAttempt } from './oidc-attempt.js';
import { type Claims, claimAt } from './oidc-claims.js';

const TIMEOUT_S = 10;

/** Whom the provider vouched for. */
export interface ProvenPerson {
  readonly issuer: string;
  readonly subject: string;
  readonly claims: Claims;
}

/** The console as a client of the OpenID Connect provider: authorization code with PKCE, state and nonce. */
@Injectable()
export class OidcClient {
  #configuration: Promise<oidc.Configuration> | undefined;

  constructor(
    @Inject(ACCOUNTS_SETTINGS) private readonly settings: SettingsOf<typeof accountsSettings>,
    @Inject(ACCOUNTS_LOGGER) private readonly logger: Logger,
  ) {}

  /** Where to send the browser, and what it has to bring back. */
  async begin(redirectUri: string, next: string): Promise<{ url: string; attempt: SignInAttempt }> {
    const configuration = await this.#discover();
    const attempt = {
      state: oidc.randomState(),
      nonce: oidc.randomNonce(),
      verifier: oidc.randomPKCECodeVerifier(),
      next,
      expires_ms: Date.now() + ATTEMPT_LIFE_S * 1000,
    };
    const url = oidc.buildAuthorizationUrl(configuration, {
      redirect_uri: redirectUri,
      scope: this.settings.oidcScopes,
      state: attempt.state,
      nonce: attempt.nonce,
      code_challenge: await oidc.calculatePKCECodeChallenge(attempt.verifier),
      code_challenge_method: 'S256',
    });
    return { url: url.href, attempt };
  }

  /** `callback`: the whole URL to which the provider sent the browser. Throws what the library refuses. */
  async finish(callback: URL, { state, nonce, verifier }: SignInAttempt): Promise<ProvenPerson> {
    const configuration = await this.#discover();
    const tokens = await oidc.authorizationCodeGrant(configuration, callback, {
      expectedState: state,
      expectedNonce: nonce,
      pkceCodeVerifier: verifier,
      idTokenExpected: true,
    });
    const claims = tokens.claims();
    if (!claims) throw new Error('the provider gave no ID token');
    return {
      issuer: claims.iss,
      subject: claims.sub,
      claims: await this.#complete(configuration, claims, tokens.access_token),
    };
  }

  /** Where the provider ends its own session; undefined: it has no such place, or cannot be asked now. */
  async endSessionUrl(afterwards: string): Promise<string | undefined> {
    try {
      const configuration = await this.#discover();
      if (configuration.serverMetadata().end_session_endpoint === undefined) return undefined;
      return oidc.buildEndSessionUrl(configuration, { post_logout_redirect_uri: afterwards }).href;
    } catch (error) {
      this.logger.warn({ err: error }, 'the OpenID Connect provider cannot be asked where to sign out');
      return undefined;
    }
  }

  /** Some providers put into the ID token only who it is; the rest is asked for. */
  async #complete(
    configuration: oidc.Configuration,
    claims: oidc.IDToken,
    accessToken: string,
  ): Promise<Claims> {
    const { oidcRoleClaim, oidcTenantClaim } = this.settings;
    const complete = [oidcRoleClaim, oidcTenantClaim].every((name) => claimAt(claims, name) !== undefined);
    if (complete || configuration.serverMetadata().userinfo_endpoint === undefined) return claims;
    // The ID token is signed, so it stands where both say something.
    return { ...(await oidc.fetchUserInfo(configuration, accessToken, claims.sub)), ...claims };
  }

  /** What the provider says of itself, which must name the very issuer that was asked; asked again after a failure. */
  #discover(): Promise<oidc.Configuration> {
    const { oidcIssuer = '', oidcClientId, oidcClientSecret } = this.settings;
    const issuer = new URL(oidcIssuer);
    this.#configuration ??= oidc
      .discovery(
        issuer,
        oidcClientId,
        undefined,
        oidcClientSecret === undefined ? oidc.None() : secretAsSupported(oidcClientSecret),
        {
          timeout: TIMEOUT_S,
          execute: [
            oidc.enableNonRepudiationChecks, // the ID token's signature, besides the connection it came by
            // The setting allows http on this machine alone.
            ...(issuer.protocol === 'http:' ? [oidc.allowInsecureRequests] : []),
          ],
        },
      )
      .catch((error: unknown) => {
        this.#configuration = undefined;
        throw error;
      });
    return this.#configuration;
  }
}

/** The secret as a header, which every provider has to take, unless this one says that it does not. */
function secretAsSupported(secret: string): oidc.ClientAuth {
  const [basic, post] = [oidc.ClientSecretBasic(secret), oidc.ClientSecretPost(secret)];
  return (server, ...rest) => {
    const methods = server.token_endpoint_auth_methods_supported ?? ['client_secret_basic'];
    return (methods.includes('client_secret_basic') ? basic : post)(server, ...rest);
  };
}
