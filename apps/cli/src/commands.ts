import type { Command } from './command.js';
import { adapterCommands } from './commands/adapters.js';
import { aliasCommands } from './commands/aliases.js';
import { audit } from './commands/audit.js';
import { moveCommands } from './commands/base-moves.js';
import { bench } from './commands/bench.js';
import { chat } from './commands/chat.js';
import { deriveCommands } from './commands/derive.js';
import { endpointCommands } from './commands/endpoints.js';
import { engineCommands } from './commands/engines.js';
import { hookCommands } from './commands/hooks.js';
import { jobCommands } from './commands/jobs.js';
import { keyCommands } from './commands/keys.js';
import { lineage } from './commands/lineage.js';
import { login, logout, whoami } from './commands/login.js';
import { maintenanceCommands } from './commands/maintenance.js';
import { merge } from './commands/merge.js';
import { mergeCommands } from './commands/merges.js';
import { pullCheckpoint } from './commands/model.js';
import { models } from './commands/models.js';
import { protectionCommands } from './commands/protection.js';
import { pull } from './commands/pull.js';
import { push } from './commands/push.js';
import { revalidate } from './commands/revalidate.js';
import { shareCommands } from './commands/shares.js';
import { status } from './commands/status.js';
import { tenantCommands } from './commands/tenants.js';
import { usage } from './commands/usage.js';

/** Every command, in the order of the help. */
export const COMMANDS: readonly Command[] = [
  login,
  logout,
  whoami,
  models,
  chat,
  ...adapterCommands,
  push,
  pull,
  ...aliasCommands,
  ...protectionCommands,
  lineage,
  ...deriveCommands,
  merge,
  ...mergeCommands,
  revalidate,
  ...moveCommands,
  ...shareCommands,
  ...hookCommands,
  ...endpointCommands,
  usage,
  ...tenantCommands,
  ...keyCommands,
  status,
  ...engineCommands,
  ...jobCommands,
  audit,
  ...maintenanceCommands,
  pullCheckpoint,
  bench,
];
