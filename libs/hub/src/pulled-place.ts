import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type HubReference, parseHubReference } from './hub-reference.js';

const COMMIT = /^[0-9a-f]{40}$/;

/** Where commits of a repository, or of a folder of it, are kept below a data folder: another folder is another model. */
export function homeOf({ repo, folder }: HubReference, dataDir: string): string {
  const steps = folder === '' ? [] : [folder.replaceAll('/', '--')];
  return join(dataDir, 'models', repo.replace('/', '--'), ...steps);
}

/** Which commit each revision was, when it was last asked for. */
export async function readRevisions(home: string): Promise<Record<string, string>> {
  const text = await readFile(revisionsFile(home), 'utf8').catch(() => '{}');
  return JSON.parse(text) as Record<string, string>;
}

export const revisionsFile = (home: string): string => join(home, 'revisions.json');

/** The folder into which an engine has pulled what `hf://` names; undefined: none has. Throws HubError. */
export async function pulledPlace(text: string, dataDir: string): Promise<string | undefined> {
  const reference = parseHubReference(text);
  const home = homeOf(reference, dataDir);
  const { revision } = reference;
  const commit = COMMIT.test(revision) ? revision : (await readRevisions(home))[revision];
  return commit === undefined ? undefined : join(home, commit);
}
