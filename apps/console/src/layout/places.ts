import {
  IconActivity,
  IconAdjustments,
  IconArrowsExchange,
  IconBuilding,
  IconChartBar,
  IconChecklist,
  IconCloudUpload,
  IconColumns,
  IconCpu,
  IconGitMerge,
  IconHistory,
  IconListDetails,
  IconMessage,
  IconPuzzle,
  IconSchool,
  IconSettings,
} from '@tabler/icons-react';
import type { SessionResource } from '#contracts/session-api.js';

export const PLACES = [
  { to: '/', label: 'Overview', icon: IconActivity, group: 'serve', operator: true },
  { to: '/adapters', label: 'Adapters', icon: IconPuzzle, group: 'serve', scope: 'adapters' },
  { to: '/upload', label: 'Upload', icon: IconCloudUpload, group: 'serve', scope: 'adapters' },
  { to: '/playground', label: 'Playground', icon: IconMessage, group: 'serve', scope: 'inference' },
  { to: '/compare', label: 'Compare', icon: IconColumns, group: 'serve', scope: 'inference' },
  { to: '/moves', label: 'Base moves', icon: IconArrowsExchange, group: 'serve', scope: 'adapters' },
  { to: '/merges', label: 'Merges', icon: IconGitMerge, group: 'serve', scope: 'adapters' },
  { to: '/fine-tune', label: 'Fine-tune', icon: IconSchool, group: 'serve', scope: 'adapters' },
  { to: '/requests', label: 'Requests', icon: IconListDetails, group: 'serve', scope: 'adapters' },
  { to: '/usage', label: 'Usage and cost', icon: IconChartBar, group: 'serve', scope: 'usage' },
  { to: '/engines', label: 'Engines', icon: IconCpu, group: 'run', operator: true },
  { to: '/tenants', label: 'Tenants and keys', icon: IconBuilding, group: 'run', operator: true },
  { to: '/jobs', label: 'Jobs', icon: IconChecklist, group: 'run', operator: true },
  { to: '/audit', label: 'Audit', icon: IconHistory, group: 'run', operator: true },
  { to: '/maintenance', label: 'Maintenance', icon: IconAdjustments, group: 'run', operator: true },
  { to: '/settings', label: 'Settings', icon: IconSettings, group: 'run', operator: true },
] as const;
export type Place = (typeof PLACES)[number];

/** What the key of this session may see. */
export function placesFor(session: SessionResource): Place[] {
  const asOperator = session.operator && !session.viewing;
  return PLACES.filter((place) =>
    'operator' in place ? asOperator : session.scopes.includes(place.scope) || asOperator,
  );
}
