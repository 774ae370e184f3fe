import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HubError } from '#hub/hub-error.js';
import { type HubReference, parseHubReference } from '#hub/hub-reference.js';
import { type Pulled, type PullProgress, pullModel, readPulled } from '#hub/pull-model.js';
import { homeOf, readRevisions, revisionsFile } from '#hub/pulled-place.js';
import { ModelError } from '#serving/model-error.js';

export interface ModelPlaceSettings {
  readonly modelPath: string;
  readonly modelName: string | undefined;
  readonly dataDir: string;
  readonly hfEndpoint: string;
  readonly hfToken: string | undefined;
}

export interface ModelPlaceHooks {
  readonly onProgress: (progress: PullProgress) => void;
  /** What an operator should know: attempts made again, a copy used without the Hub. */
  readonly onNotice: (message: string) => void;
  readonly signal: AbortSignal;
}

const HUB = 'hf://';
const COMMIT = /^[0-9a-f]{40}$/;

/**
 * The settings with a MODEL_PATH on this machine: what `hf://` names is pulled below DATA_DIR/models. A commit that is
 * there needs no Hub; another revision is asked for at each start, and is what it was last where the Hub is away.
 * Throws ModelError.
 */
export async function withLocalModel<S extends ModelPlaceSettings>(
  settings: S,
  hooks: ModelPlaceHooks,
): Promise<S> {
  if (!settings.modelPath.startsWith(HUB)) return settings;
  try {
    const reference = parseHubReference(settings.modelPath);
    const folder = await folderOf(reference, settings, hooks);
    const file = reference.folder.endsWith('.gguf') ? join(folder, lastStep(reference.folder)) : folder;
    return { ...settings, modelPath: file, modelName: settings.modelName ?? nameOf(reference) };
  } catch (cause) {
    if (!(cause instanceof HubError)) throw cause;
    throw new ModelError(`MODEL_PATH=${settings.modelPath}: ${cause.message}`, { cause });
  }
}

async function folderOf(
  reference: HubReference,
  { dataDir, hfEndpoint: endpoint, hfToken: token }: ModelPlaceSettings,
  { onProgress, onNotice, signal }: ModelPlaceHooks,
): Promise<string> {
  const home = homeOf(reference, dataDir);
  const at = (commit: string): string => join(home, commit);
  if (COMMIT.test(reference.revision) && (await readPulled(at(reference.revision))))
    return at(reference.revision);
  await mkdir(home, { recursive: true });
  const revisions = revisionsFile(home);
  const commit = (await readRevisions(home))[reference.revision];
  const hasCopy = commit !== undefined && (await readPulled(at(commit))) !== undefined;
  let pulled: Pulled;
  try {
    pulled = await pullModel(reference, {
      access: { endpoint, token },
      folderOf: at,
      onProgress,
      onRetry: onNotice,
      signal,
      ...(hasCopy && { patience: { listings: 2 } }), // it need not be waited for
    });
  } catch (error) {
    const isAway = error instanceof HubError && error.retryable;
    if (!isAway || !hasCopy) throw error;
    onNotice(`${error.message} What ${reference.revision} was last (${commit}) is served.`);
    return at(commit);
  }
  const known = { ...(await readRevisions(home)), [reference.revision]: pulled.commit };
  await writeFile(`${revisions}.${process.pid}`, JSON.stringify(known));
  await rename(`${revisions}.${process.pid}`, revisions);
  return pulled.folder;
}

function nameOf({ repo, folder }: HubReference): string {
  return lastStep(folder === '' ? repo : folder).replace(/\.gguf$/, '');
}

function lastStep(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
