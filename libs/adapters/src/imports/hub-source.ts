import { AppError } from '#runtime/app-error.js';

export interface HubSource {
  readonly kind: 'hub';
  /** `org/name`. */
  readonly repo: string;
  /** A branch, tag or commit. */
  readonly revision: string;
  /** Below the repository's root; empty: the root itself. */
  readonly folder: string;
}

const REPO_PART = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?$/;
const REVISION = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$/;
/** Revisions of the Hub's own that hold slashes. */
const REF = /^(refs\/(?:pr|convert)\/[A-Za-z0-9._-]+)(?:\/(.*))?$/;

/** `hf://org/repo[@revision][/subfolder]`; a slash in a branch's name is written `%2F`. Throws invalid_request. */
export function parseHubSource(text: string): HubSource {
  const match = /^hf:\/\/([^/@]+\/[^/@]+)(?:@([^/].*?))?\/?$/.exec(text) ?? plainFolder(text);
  if (!match) throw invalid('`source` must have the form hf://org/repo@revision/subfolder.');
  const repo = match[1] ?? '';
  if (!repo.split('/').every((part) => REPO_PART.test(part) && !/--|\.\./.test(part))) {
    throw invalid(`${JSON.stringify(repo)} is not a repository of the form org/name.`);
  }
  const { revision, folder } = splitRevision(match[2] ?? 'main');
  const steps = [folder, match[3] ?? ''].filter((each) => each !== '').join('/');
  if (!REVISION.test(revision) || revision.includes('..')) {
    throw invalid(`${JSON.stringify(revision)} is not a revision.`);
  }
  if (!isPlainPath(steps)) throw invalid(`${JSON.stringify(steps)} is not a folder of a repository.`);
  return { kind: 'hub', repo, revision, folder: steps };
}

/** `hf://org/repo/subfolder`, which means its branch `main`. */
function plainFolder(text: string): [string, string, undefined, string] | undefined {
  const match = /^hf:\/\/([^/@]+\/[^/@]+)\/([^@]+?)\/?$/.exec(text);
  return match ? [text, match[1] ?? '', undefined, match[2] ?? ''] : undefined;
}

function splitRevision(text: string): { revision: string; folder: string } {
  const ref = REF.exec(text);
  if (ref) return { revision: ref[1] ?? '', folder: ref[2] ?? '' };
  const slash = text.indexOf('/');
  const revision = slash < 0 ? text : text.slice(0, slash);
  return { revision: revision.replace(/%2f/gi, '/'), folder: slash < 0 ? '' : text.slice(slash + 1) };
}

function isPlainPath(path: string): boolean {
  if (path === '') return true;
  return path.split('/').every((part) => /^[\w .+=()@-]{1,200}$/.test(part) && part !== '.' && part !== '..');
}

function invalid(message: string): AppError {
  return new AppError('invalid_request', { message, param: 'source' });
}
