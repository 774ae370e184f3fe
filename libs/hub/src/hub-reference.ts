import { HubError } from './hub-error.js';

/** What `hf://` texts name. */
export interface HubReference {
  /** `org/name`. */
  readonly repo: string;
  /** A branch, tag or commit. */
  readonly revision: string;
  /** A folder or file below the repository's root; empty: the root itself. */
  readonly folder: string;
}

const REPO_PART = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?$/;
const REVISION = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$/;
/** Revisions of the Hub's own that hold slashes. */
const REF = /^(refs\/(?:pr|convert)\/[A-Za-z0-9._-]+)(?:\/(.*))?$/;

/** `hf://org/repo[@revision][/subfolder]`; a slash in a branch's name is written `%2F`. Throws HubError. */
export function parseHubReference(text: string): HubReference {
  const match = /^hf:\/\/([^/@]+\/[^/@]+)(?:@([^/].*?))?\/?$/.exec(text) ?? plainFolder(text);
  if (!match) throw new HubError('expected the form hf://org/repo@revision/subfolder.');
  const repo = match[1] ?? '';
  if (!repo.split('/').every((part) => REPO_PART.test(part) && !/--|\.\./.test(part))) {
    throw new HubError(`${JSON.stringify(repo)} is not a repository of the form org/name.`);
  }
  const { revision, folder } = splitRevision(match[2] ?? 'main');
  const steps = [folder, match[3] ?? ''].filter((each) => each !== '').join('/');
  if (!REVISION.test(revision) || revision.includes('..')) {
    throw new HubError(`${JSON.stringify(revision)} is not a revision.`);
  }
  if (!isPlainPath(steps)) throw new HubError(`${JSON.stringify(steps)} is not a folder of a repository.`);
  return { repo, revision, folder: steps };
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

/** Whether a file of that name lies below the folder that it is put into, on every system. */
export function isPlainPath(path: string): boolean {
  if (path === '') return true;
  return path.split('/').every((part) => /^[\w .+=()@-]{1,200}$/.test(part) && part !== '.' && part !== '..');
}
