import { moneySettings, responseSettings } from '#accounts/settings.js';
import { batchesSettings } from '#batches/settings.js';
import { importSettings } from '#adapters/imports/settings.js';
import { adaptersSettings } from '#adapters/settings.js';
import { fleetSettings } from '#fleet/settings.js';
import { pipelinesSettings, pipelinesWorkerSettings } from '#pipelines/settings.js';
import { dataDirSettings } from '#runtime/data-dir.js';
import { shutdownSettings } from '#runtime/drain.js';
import { edgeSettings } from '#runtime/edge/settings.js';
import { goodputSettings } from '#runtime/goodput.js';
import { logSettings } from '#runtime/logger.js';
import { tracingSettings } from '#runtime/tracing/settings.js';
import { outboundSettings } from '#runtime/outbound/settings.js';
import { setting, text } from '#runtime/settings.js';
import { storesSettings } from '#stores/settings.js';

/** Of a thread that reads ordinary adapters. */
const LEAST_MEMORY_BYTES = 64 * 2 ** 20;

/** Every setting of the worker process. */
export const workerSettings = {
  workerPort: setting(
    {
      name: 'WORKER_PORT',
      summary: "Port of the worker's `/health` and `/metrics`; 0 takes a free one",
      defaultText: '8081; a free one by `npm start`',
    },
    text.integer(8081, 0, 65_535),
  ),
  workerHost: setting(
    {
      name: 'WORKER_HOST',
      summary: 'Address on which the worker answers `/health` and `/metrics`',
      defaultText: '127.0.0.1',
    },
    text.string('127.0.0.1'),
  ),
  workerConcurrency: setting(
    {
      name: 'WORKER_CONCURRENCY',
      summary:
        'Adapters of one tenant that one worker validates at once; from 2 on one more may run beside them, of another tenant',
      defaultText: '2',
    },
    text.integer(2, 1, 64),
  ),
  validationTimeout_s: setting(
    {
      name: 'VALIDATION_TIMEOUT_S',
      summary: 'Seconds after which a worker rejects an adapter whose files it has not read by then',
      defaultText: '600',
    },
    text.integer(600, 1, 86_400),
  ),
  validationMemoryBytes: setting(
    {
      name: 'VALIDATION_MEMORY_BYTES',
      summary: 'Memory beyond which a worker rejects an adapter whose small files and header it reads',
      defaultText: '512M',
    },
    text.bytes(512 * 2 ** 20).refine((bytes) => bytes >= LEAST_MEMORY_BYTES, 'expected at least 64M'),
  ),
  derivationTimeout_s: setting(
    {
      name: 'DERIVATION_TIMEOUT_S',
      summary: 'Seconds after which a worker gives up a version that it computes from others',
      defaultText: '3600',
    },
    text.integer(3600, 1, 86_400),
  ),
  derivationMemoryBytes: setting(
    {
      name: 'DERIVATION_MEMORY_BYTES',
      summary: 'Memory that computing a version from others may take, for each that a worker computes',
      defaultText: '2G',
    },
    text.bytes(2 * 2 ** 30).refine((bytes) => bytes >= LEAST_MEMORY_BYTES, 'expected at least 64M'),
  ),
  mergeBasePath: setting(
    {
      name: 'MERGE_BASE_PATH',
      summary:
        "Folder of the base model's checkpoint on the worker's machine, into whose weights versions are merged (or `hf://...`, as an engine pulled it to `DATA_DIR`)",
      defaultText: '`MODEL_PATH` (set by `npm start`); else none, and no merges',
    },
    text.optional(),
  ),
  mergeStorageBytes: setting(
    {
      name: 'MERGE_STORAGE_BYTES',
      summary: 'What all merged checkpoints that are kept may take in storage; 0: none are made',
      defaultText: '20G',
    },
    text.bytes(20 * 2 ** 30),
  ),
  mergeRetention_h: setting(
    {
      name: 'MERGE_RETENTION_HOURS',
      summary: 'Hours after which a merged checkpoint is deleted',
      defaultText: '24',
    },
    text.integer(24, 1, 8_760),
  ),
  mergeTimeout_s: setting(
    {
      name: 'MERGE_TIMEOUT_S',
      summary: 'Seconds after which a worker gives up a merge',
      defaultText: '7200',
    },
    text.integer(7_200, 1, 86_400),
  ),
  deleteGrace_s: setting(
    {
      name: 'DELETE_GRACE_S',
      summary:
        "Seconds for which a deleted version's files are kept at least, for requests that began before",
      defaultText: '10',
    },
    text.integer(10, 0, 3_600),
  ),
  auditRetention_days: setting(
    {
      name: 'AUDIT_RETENTION_DAYS',
      summary: 'Days for which entries of the audit log are kept, or `forever`',
      defaultText: 'forever',
    },
    text.days('forever'),
  ),
  usageMinutesRetention_days: setting(
    {
      name: 'USAGE_MINUTES_RETENTION_DAYS',
      summary:
        'Days for which usage is kept by the minute, or `forever`; the sums of each day stay for ever, and stand at its beginning in finer reports',
      defaultText: '90',
    },
    text.days('90'),
  ),
  historyMinutesRetention_days: setting(
    {
      name: 'HISTORY_MINUTES_RETENTION_DAYS',
      summary: 'Days for which the figures of the charts are kept by the minute, or `forever`',
      defaultText: '7',
    },
    text.days('7'),
  ),
  historyHoursRetention_days: setting(
    {
      name: 'HISTORY_HOURS_RETENTION_DAYS',
      summary: 'Days for which they are kept by the hour, or `forever`',
      defaultText: '90',
    },
    text.days('90'),
  ),
  historyDaysRetention_days: setting(
    {
      name: 'HISTORY_DAYS_RETENTION_DAYS',
      summary: 'Days for which they are kept by the day, or `forever`',
      defaultText: '1825',
    },
    text.days('1825'),
  ),
  responseRetention_days: setting(
    {
      name: 'RESPONSE_RETENTION_DAYS',
      summary:
        'Days for which answers of `/v1/responses` are kept after they were last part of a conversation, or `forever`',
      defaultText: '30',
    },
    text.days('30'),
  ),
  ...responseSettings,
  batchConcurrency: setting(
    {
      name: 'BATCH_CONCURRENCY',
      summary: 'Lines of one tenant, of all its batches, that one worker asks at once',
      defaultText: '8',
    },
    text.integer(8, 1, 256),
  ),
  jsonLimitBytes: edgeSettings.jsonLimitBytes,
  ...batchesSettings,
  ...goodputSettings,
  ...moneySettings,
  ...logSettings,
  ...tracingSettings,
  shutdownTimeout_s: shutdownSettings.shutdownTimeout_s,
  ...storesSettings,
  ...outboundSettings,
  parityCheck: setting(
    {
      name: 'PARITY_CHECK',
      summary:
        'Compare each uploaded adapter, as it is served, with its weights merged densely into the base, before it becomes ready: `on`, `off`, or `auto`: on for base models of at most 50 million parameters (it takes 4 bytes of memory for each while it runs)',
      defaultText: 'auto',
    },
    text.oneOf(['auto', 'on', 'off'], 'auto'),
  ),
  ...adaptersSettings,
  ...importSettings,
  ...dataDirSettings,
  ...fleetSettings,
  ...pipelinesSettings,
  ...pipelinesWorkerSettings,
};
