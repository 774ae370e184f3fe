import type { MigrationInterface } from 'typeorm';
import { Tenants1763600000001 } from './0001-tenants.js';
import { ApiKeys1763600000002 } from './0002-api-keys.js';
import { Adapters1763600000003 } from './0003-adapters.js';
import { AdapterVersions1763600000004 } from './0004-adapter-versions.js';
import { VersionFiles1763600000005 } from './0005-version-files.js';
import { Aliases1763600000006 } from './0006-aliases.js';
import { Usage1763600000007 } from './0007-usage.js';
import { Outbox1763600000014 } from './0014-outbox.js';

/** Every migration, oldest first. */
export const MIGRATIONS: readonly (new () => MigrationInterface)[] = [
  Tenants1763600000001,
  ApiKeys1763600000002,
  Adapters1763600000003,
  AdapterVersions1763600000004,
  VersionFiles1763600000005,
  Aliases1763600000006,
  Usage1763600000007,
  Outbox1763600000014,
];
