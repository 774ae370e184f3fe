import { Controller, Get } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { type Caller, CurrentCaller, RequireScope } from '#accounts/caller.js';
import { BudgetsService } from '#accounts/money/budgets.service.js';
import { PricesService } from '#accounts/money/prices.service.js';
import {
  BudgetListSchema,
  type BudgetResource,
  PriceListSchema,
  type PriceResource,
} from '#contracts/money-api.js';
import type { List } from '#contracts/resource.js';

/** What a tenant sees of its prices and budgets, which the operator sets. */
@ApiTags('Usage')
@Controller('v1')
@RequireScope('usage', 'adapters')
export class MoneyController {
  constructor(
    private readonly prices: PricesService,
    private readonly budgets: BudgetsService,
  ) {}

  @Get('prices')
  @ApiOperation({ summary: 'List the prices of tokens' })
  @ApiOkResponse({ standardSchema: PriceListSchema })
  listPrices(@CurrentCaller() { tenant }: Caller): Promise<List<PriceResource>> {
    return this.prices.ofTenant(tenant.id);
  }

  @Get('budgets')
  @ApiOperation({ summary: 'List budgets and what is spent of them' })
  @ApiOkResponse({ standardSchema: BudgetListSchema })
  listBudgets(@CurrentCaller() { tenant }: Caller): Promise<List<BudgetResource>> {
    return this.budgets.list(tenant.id);
  }
}
