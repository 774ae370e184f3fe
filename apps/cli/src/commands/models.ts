import type { Command } from '../command.js';

interface Model {
  readonly id: string;
  readonly owned_by: string;
  readonly created: number;
}

export const models: Command = {
  path: ['models'],
  summary: 'list what can be called as `model`',
  async run({ print, api }) {
    const answer = await (await api()).get<{ data: Model[] }>('/v1/models');
    print.list({ ...answer, has_more: false, last_id: null }, ['MODEL', 'OWNER', 'CREATED'], (model) => [
      model.id,
      model.owned_by,
      new Date(model.created * 1000).toISOString(),
    ]);
  },
};
