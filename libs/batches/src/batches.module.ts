import { type DynamicModule, Module } from '@nestjs/common';
import type { SettingsOf } from '#runtime/settings.js';
import { Batch } from './batch.entity.js';
import { BatchStates } from './batch-states.service.js';
import { BatchesService } from './batches.service.js';
import { FilesService } from './files/files.service.js';
import { BATCHES_SETTINGS, type batchesSettings } from './settings.js';

export const batchesEntities = [Batch];

@Module({})
export class BatchesModule {
  /** Global: files and batches. Needs StoresModule and AdaptersModule. */
  static forRoot(settings: SettingsOf<typeof batchesSettings>): DynamicModule {
    const services = [FilesService, BatchesService, BatchStates];
    return {
      module: BatchesModule,
      global: true,
      providers: [{ provide: BATCHES_SETTINGS, useValue: settings }, ...services],
      exports: services,
    };
  }
}
