import 'reflect-metadata';
import { logSettings, makeLogger } from '#runtime/logger.js';
import { runMain } from '#runtime/main.js';
import { parseSettings } from '#runtime/settings.js';
import { storesSettings } from '#stores/settings.js';
import { migrateDatabase } from './migrate-database.js';

const { databaseUrl, redisUrl } = storesSettings;

await runMain(async () => {
  const settings = parseSettings({ databaseUrl, redisUrl, ...logSettings }, process.env);
  const logger = makeLogger('migrate', settings.logLevel);
  const done = await migrateDatabase({ ...settings, logger });
  logger.info(
    { migrations: done },
    done.length === 0 ? 'the database is up to date' : 'the database was migrated',
  );
});
