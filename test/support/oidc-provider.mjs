// An OpenID Connect provider as a process of its own, for tests. Its settings come as JSON in its first argument:
// {port, redirectUri, endUri, claims: {name of a person: claims}}. Whoever types a name is that person.
import { Provider } from 'oidc-provider';

const { port, redirectUri, endUri, claims } = JSON.parse(process.argv[2] ?? '{}');

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    {
      client_id: 'lorikeet',
      client_secret: 'a secret of the console',
      redirect_uris: [redirectUri],
      post_logout_redirect_uris: [endUri],
      response_types: ['code'],
      grant_types: ['authorization_code'],
    },
  ],
  claims: { openid: ['sub'], profile: ['name', 'tenant', 'roles'], email: ['email'] },
  pkce: { required: () => true },
  features: { devInteractions: { enabled: true } },
  cookies: { keys: ['a key of the provider'] },
  findAccount: (_context, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: `${id}@example.com`, ...claims[id] }),
  }),
  // Who signed in has agreed, too.
  async loadExistingGrant(context) {
    const { client, session } = context.oidc;
    const grant = new context.oidc.provider.Grant({
      clientId: client.clientId,
      accountId: session.accountId,
    });
    grant.addOIDCScope('openid profile email');
    await grant.save();
    return grant;
  },
});
const server = provider.listen(port, '127.0.0.1', () => process.stdout.write('ready\n'));
process.on('SIGTERM', () => server.close());
