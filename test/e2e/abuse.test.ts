import { expect, it } from 'vitest';
import { runAbuses } from '../../scripts/abuse/run.mjs';

/*
 * The short form of scripts/abuse.mjs. Its bounds are far above what is promised of a quiet machine (docs/security.md), and
 * far below what each of these did before there were bounds at all: seconds of the event loop, gigabytes of memory.
 */
const PROMISES = {
  healthP99_ms: 2_000,
  healthMax_ms: 6_000,
  tokenMax_ms: 30_000,
  uploadMax_ms: 60_000,
  memoryLeft_mib: 400,
};

/** Those that cost others most; all of them with `npm test -- --all`. */
const WORST =
  /^no key: 15 MB of brackets$|no key: 330|a key: (330|4 MB of names|packed|hundreds|configs of 3.8 MB of unknown)/;

it('lets no caller, with a key or without, stall or starve another', async () => {
  const said: string[] = [];
  const only = process.env.LORIKEET_TEST_ALL === '1' ? undefined : WORST;
  const say = (line: string) => said.push(line);
  const { findings, rows } = await runAbuses({ each_ms: 1_500, memory_s: 30, only, promises: PROMISES, say });
  expect({ findings, said }).toEqual({ findings: [], said });
  expect(rows.length).toBeGreaterThan(4);
}, 600_000);
