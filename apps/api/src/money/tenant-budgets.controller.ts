import { Body, Controller, Delete, Get, Param, Patch, Post } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { RequireOperator } from '#accounts/caller.js';
import { BudgetsService } from '#accounts/money/budgets.service.js';
import {
  BudgetListSchema,
  type BudgetResource,
  BudgetSchema,
  type CreateBudget,
  CreateBudgetSchema,
  type PatchBudget,
  PatchBudgetSchema,
} from '#contracts/money-api.js';
import { DeletedSchema, type List } from '#contracts/resource.js';
import type { z } from 'zod';

@ApiTags('Operator')
@Controller('v1/admin/tenants/:tenant/budgets')
@RequireOperator()
export class TenantBudgetsController {
  constructor(private readonly budgets: BudgetsService) {}

  @Post()
  @ApiOperation({
    summary: 'Give a tenant, or one of its keys, a budget for each day or month',
    description: 'Event `budget.alert` at shares of it; with `stop`, requests beyond it are answered 429.',
  })
  @ApiCreatedResponse({ standardSchema: BudgetSchema })
  create(
    @Param('tenant') tenant: string,
    @Body({ schema: CreateBudgetSchema }) body: CreateBudget,
  ): Promise<BudgetResource> {
    return this.budgets.create(tenant, body);
  }

  @Get()
  @ApiOperation({ summary: "List a tenant's budgets and what is spent of them" })
  @ApiOkResponse({ standardSchema: BudgetListSchema })
  list(@Param('tenant') tenant: string): Promise<List<BudgetResource>> {
    return this.budgets.listOf(tenant);
  }

  @Patch(':budget')
  @ApiOperation({ summary: 'Change a budget' })
  @ApiOkResponse({ standardSchema: BudgetSchema })
  patch(
    @Param('tenant') tenant: string,
    @Param('budget') id: string,
    @Body({ schema: PatchBudgetSchema }) body: PatchBudget,
  ): Promise<BudgetResource> {
    return this.budgets.patch(tenant, id, body);
  }

  @Delete(':budget')
  @ApiOperation({ summary: 'Delete a budget' })
  @ApiOkResponse({ standardSchema: DeletedSchema })
  async remove(
    @Param('tenant') tenant: string,
    @Param('budget') id: string,
  ): Promise<z.infer<typeof DeletedSchema>> {
    await this.budgets.remove(tenant, id);
    return { id, object: 'budget', deleted: true };
  }
}
