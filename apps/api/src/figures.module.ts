import { type DynamicModule, Module } from '@nestjs/common';
import { OpenStreams } from '#runtime/open-streams.js';
import { AdminHistoryController } from './history/admin-history.controller.js';
import { HistoryController } from './history/history.controller.js';
import { AdminLiveController } from './live/admin-live.controller.js';
import { LiveController } from './live/live.controller.js';
import { LiveStreams } from './live/live-streams.service.js';
import { MoneyController } from './money/money.controller.js';
import { PricesController } from './money/prices.controller.js';
import { TenantBudgetsController } from './money/tenant-budgets.controller.js';
import { RequestsController } from './requests/requests.controller.js';

@Module({})
export class FiguresModule {
  /** What was asked and what it cost: figures by time and live, prices, budgets, kept requests. */
  static forRoot({ streams }: { readonly streams: OpenStreams }): DynamicModule {
    return {
      module: FiguresModule,
      controllers: [
        HistoryController,
        AdminHistoryController,
        LiveController,
        AdminLiveController,
        MoneyController,
        PricesController,
        TenantBudgetsController,
        RequestsController,
      ],
      providers: [LiveStreams, { provide: OpenStreams, useValue: streams }],
    };
  }
}
