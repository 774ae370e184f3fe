/** The page under /docs, grouped by who reads it, in this order; each group holds the tags of some controllers. */
export const TAG_GROUPS: readonly {
  readonly name: string;
  readonly description: string;
  readonly of: readonly string[];
}[] = [
  {
    name: 'Inference',
    description: 'For applications: ask the base model or an adapter. Key scope `inference`.',
    of: ['Inference', 'Batches'],
  },
  {
    name: 'Adapters',
    description: 'For who trains adapters: upload versions, move aliases, share. Key scope `adapters`.',
    of: ['Adapters', 'Uploads'],
  },
  {
    name: 'Pipelines',
    description:
      'For fine-tune pipelines: signed webhooks in and out, fine-tuning jobs. Key scope `adapters`.',
    of: ['Fine-tune pipelines', 'Fine-tuning', 'Webhook endpoints'],
  },
  {
    name: 'Account',
    description: 'For every caller: who the key is, what it may use and has used.',
    of: ['Keys', 'Usage'],
  },
  {
    name: 'Operator',
    description: 'For who runs the server: tenants, keys, engines, jobs, health. An operator key.',
    of: ['Operator', 'Health', 'Metrics'],
  },
];
