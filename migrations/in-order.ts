import type { MigrationInterface } from 'typeorm';
import { Tenants1763600000001 } from './0001-tenants.js';
import { ApiKeys1763600000002 } from './0002-api-keys.js';
import { Adapters1763600000003 } from './0003-adapters.js';
import { AdapterVersions1763600000004 } from './0004-adapter-versions.js';
import { VersionFiles1763600000005 } from './0005-version-files.js';
import { Aliases1763600000006 } from './0006-aliases.js';
import { Usage1763600000007 } from './0007-usage.js';
import { OperatorKeys1763600000008 } from './0008-operator-keys.js';
import { Quotas1763600000009 } from './0009-quotas.js';
import { TenantStorage1763600000010 } from './0010-tenant-storage.js';
import { ApiProcesses1763600000011 } from './0011-api-processes.js';
import { UsageTpot1763600000012 } from './0012-usage-tpot.js';
import { UsageDays1763600000013 } from './0013-usage-days.js';
import { Outbox1763600000014 } from './0014-outbox.js';
import { AdapterShares1763600000015 } from './0015-adapter-shares.js';
import { VersionLineage1763600000016 } from './0016-version-lineage.js';
import { AliasTrials1763600000017 } from './0017-alias-trials.js';
import { ReleasedFiles1763600000018 } from './0018-released-files.js';
import { VersionImports1763600000021 } from './0021-version-imports.js';
import { ResumableUploads1763600000022 } from './0022-resumable-uploads.js';
import { Hooks1763600000026 } from './0026-hooks.js';
import { WebhookEndpoints1763600000027 } from './0027-webhook-endpoints.js';
import { Trainers1763600000028 } from './0028-trainers.js';
import { FineTuning1763600000029 } from './0029-fine-tuning.js';
import { Audit1763600000033 } from './0033-audit.js';
import { Maintenance1763600000034 } from './0034-maintenance.js';
import { VersionParity1763600000038 } from './0038-version-parity.js';
import { StorageByStatement1763600000039 } from './0039-storage-by-statement.js';
import { Engines1763600000043 } from './0043-engines.js';
import { VersionIntake1763600000046 } from './0046-version-intake.js';
import { Retention1763600000050 } from './0050-retention.js';
import { ConsoleSessions1763600000053 } from './0053-console-sessions.js';
import { VersionBases1763600000054 } from './0054-version-bases.js';
import { RequestFigures1763600000060 } from './0060-request-figures.js';
import { PricesAndBudgets1763600000061 } from './0061-prices-and-budgets.js';
import { RequestLog1763600000062 } from './0062-request-log.js';
import { ConsolePeople1763600000070 } from './0070-console-people.js';
import { ProtectedAliases1763600000071 } from './0071-protected-aliases.js';
import { EvaluationSets1763600000072 } from './0072-evaluation-sets.js';
import { PendingChangeExpiry1763600000073 } from './0073-pending-change-expiry.js';
import { VersionAuthors1763600000074 } from './0074-version-authors.js';
import { IdempotencyKeys1763600000080 } from './0080-idempotency-keys.js';
import { Responses1763600000081 } from './0081-responses.js';
import { Files1763600000082 } from './0082-files.js';
import { Batches1763600000083 } from './0083-batches.js';
import { ResponseStorage1763600000095 } from './0095-response-storage.js';
import { Derivations1763600000102 } from './0102-derivations.js';
import { BaseMoves1763600000103 } from './0103-base-moves.js';
import { Merges1763600000104 } from './0104-merges.js';

/** Every migration, oldest first. */
export const MIGRATIONS: readonly (new () => MigrationInterface)[] = [
  Tenants1763600000001,
  ApiKeys1763600000002,
  Adapters1763600000003,
  AdapterVersions1763600000004,
  VersionFiles1763600000005,
  Aliases1763600000006,
  Usage1763600000007,
  OperatorKeys1763600000008,
  Quotas1763600000009,
  TenantStorage1763600000010,
  ApiProcesses1763600000011,
  UsageTpot1763600000012,
  UsageDays1763600000013,
  Outbox1763600000014,
  AdapterShares1763600000015,
  VersionLineage1763600000016,
  AliasTrials1763600000017,
  ReleasedFiles1763600000018,
  VersionImports1763600000021,
  ResumableUploads1763600000022,
  Hooks1763600000026,
  WebhookEndpoints1763600000027,
  Trainers1763600000028,
  FineTuning1763600000029,
  Audit1763600000033,
  Maintenance1763600000034,
  VersionParity1763600000038,
  StorageByStatement1763600000039,
  Engines1763600000043,
  VersionIntake1763600000046,
  Retention1763600000050,
  ConsoleSessions1763600000053,
  VersionBases1763600000054,
  RequestFigures1763600000060,
  PricesAndBudgets1763600000061,
  RequestLog1763600000062,
  ConsolePeople1763600000070,
  ProtectedAliases1763600000071,
  EvaluationSets1763600000072,
  PendingChangeExpiry1763600000073,
  VersionAuthors1763600000074,
  IdempotencyKeys1763600000080,
  Responses1763600000081,
  Files1763600000082,
  Batches1763600000083,
  ResponseStorage1763600000095,
  Derivations1763600000102,
  BaseMoves1763600000103,
  Merges1763600000104,
];
