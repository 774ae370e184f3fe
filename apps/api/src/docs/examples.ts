/** Bodies that work as they stand, by `METHOD path`; a test sends each of them. */
export const EXAMPLES: Readonly<Record<string, unknown>> = {
  'POST /v1/chat/completions': {
    model: 'support-bot:production',
    messages: [{ role: 'user', content: 'I was charged twice for my order' }],
    max_tokens: 80,
    temperature: 0,
  },
  'POST /v1/completions': { model: 'support-bot@1', prompt: 'Once upon a time', max_tokens: 40 },
  'POST /v1/adapters': {
    name: 'support-bot',
    description: 'Answers customers',
    labels: { team: 'support' },
  },
  'PUT /v1/adapters/{adapter}/aliases/{alias}': {
    routes: [
      { version: 1, weight: 90 },
      { version: 2, weight: 10 },
    ],
  },
  'POST /v1/hooks': { name: 'training', adapter: 'support-bot', promote: 'staging' },
  'POST /v1/webhook-endpoints': {
    url: 'https://example.com/lorikeet',
    events: ['adapter.version.ready', 'adapter.version.rejected'],
  },
  'POST /v1/admin/tenants': { name: 'acme' },
  'PATCH /v1/admin/tenants/{tenant}': { quotas: { requests_per_minute: 600, tokens_per_minute: 100_000 } },
  'POST /v1/admin/tenants/{tenant}/keys': { name: 'first', scopes: ['inference', 'adapters'] },
  'PUT /v1/admin/maintenance': { enabled: true, message: 'Back at noon.', retry_after_s: 120 },
};
