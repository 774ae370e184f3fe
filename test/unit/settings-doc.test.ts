import { describe, expect, it } from 'vitest';
import type { Setting } from '#runtime/settings.js';
import { apiSettings } from '../../apps/api/src/settings.js';
import { engineSettings } from '../../apps/engine/src/settings.js';
import { workerSettings } from '../../apps/worker/src/settings.js';

const PROCESSES = { api: apiSettings, worker: workerSettings, engine: engineSettings };

interface Documented {
  readonly setting: Setting<unknown>;
  readonly processes: string[];
}

function documented(): Map<string, Documented> {
  const all = new Map<string, Documented>();
  for (const [process, settings] of Object.entries(PROCESSES)) {
    for (const setting of Object.values(settings) as Setting<unknown>[]) {
      const known = all.get(setting.name) ?? { setting, processes: [] };
      known.processes.push(process);
      all.set(setting.name, known);
    }
  }
  return all;
}

function settingsPage(): string {
  const rows = [...documented()]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { setting, processes }]) => {
      const summary = `${setting.summary}${setting.secret ? ' (secret: never logged)' : ''}`;
      return `| \`${name}\` | ${processes.join(', ')} | ${setting.defaultText} | ${summary} |`;
    });
  return `# Settings

Environment variables. Each process reads its own at start, lists all that are not valid at once, and then ends with
exit code 1. An empty variable counts as unset. Bytes may be written as \`1073741824\`, \`512M\` or \`2G\`. \`npm start\` sets
what the processes need from each other, and reads by itself: \`DEMO\` (register the demo tenant and its adapters; default: \`true\`
when \`MODEL_PATH\` is unset), \`DEVICES\` (\`all\`: an engine for each GPU or MIG slice that \`CUDA_VISIBLE_DEVICES\` leaves, in place of
one; default: unset), \`LOG_FILE_MB\` and \`LOG_FILES\` (largest size of a log under \`DATA_DIR\`/logs before it is moved
aside, and how many files of each log are kept; default: 16 and 4).

| variable | read by | default | meaning |
| --- | --- | --- | --- |
${rows.join('\n')}
`;
}

describe('docs/settings.md', () => {
  it('lists exactly the settings of all processes (vitest -u writes it)', async () => {
    await expect(settingsPage()).toMatchFileSnapshot('../../docs/settings.md');
  });

  it('calls each setting by one name with one meaning', () => {
    for (const [name, { setting }] of documented()) {
      expect(name).toMatch(/^[A-Z][A-Z0-9_]*$/);
      for (const settings of Object.values(PROCESSES)) {
        for (const other of Object.values(settings) as Setting<unknown>[]) {
          const same = other.name !== name || other.summary === setting.summary || name === 'ENGINE_TOKEN';
          expect({ name, same }).toEqual({ name, same: true });
        }
      }
    }
  });
});
