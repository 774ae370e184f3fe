import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { FileServer, type SeenRequest } from './file-server.js';

export interface FakeRepo {
  readonly commit: string;
  /** Names that stand for the commit. */
  readonly revisions: readonly string[];
  readonly files: Readonly<Record<string, Uint8Array>>;
  /** Only with this token. */
  readonly token?: string;
}

/** The Hub's protocol as far as downloads need it: listings by revision, and files that redirect to another host. */
export class FakeHub {
  readonly repos = new Map<string, FakeRepo>();
  /** What comes instead of a file's bytes. */
  answer: (name: string, bytes: Uint8Array) => Uint8Array = (_, bytes) => bytes;

  private constructor(
    readonly front: FileServer,
    /** Where large files lie; another origin, as at the real Hub. */
    readonly storage: FileServer,
  ) {}

  static async start(): Promise<FakeHub> {
    const hub = new FakeHub(await FileServer.start(), await FileServer.start());
    hub.front.route = (request, response) => hub.#route(request, response);
    return hub;
  }

  get url(): string {
    return this.front.url;
  }

  close(): void {
    this.front.close();
    this.storage.close();
  }

  #route({ path, headers }: SeenRequest, response: ServerResponse): boolean {
    const listing = /^\/api\/models\/([^/]+\/[^/]+)\/revision\/(.+)$/.exec(path);
    const file = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(path);
    const repo = this.repos.get(listing?.[1] ?? file?.[1] ?? '');
    const revision = listing?.[2] ?? file?.[2] ?? '';
    const mayRead = repo?.token === undefined || headers.authorization === `Bearer ${repo.token}`;
    if (!repo || !mayRead || ![repo.commit, ...repo.revisions].includes(revision)) {
      const code = repo && mayRead ? 'RevisionNotFound' : 'RepoNotFound';
      response.writeHead(repo && !mayRead ? 401 : 404, { 'x-error-code': code }).end();
    } else if (listing) {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify(listingOf(repo)));
    } else {
      const name = file?.[3] ?? '';
      const bytes = repo.files[name];
      if (!bytes) response.writeHead(404).end();
      else {
        const stored = `/lfs/${sha256(bytes)}`;
        this.storage.files.set(stored, this.answer(name, bytes));
        response
          .writeHead(302, { location: `${this.storage.url}${stored}`, 'x-repo-commit': repo.commit })
          .end();
      }
    }
    return true;
  }
}

function listingOf({ commit, files }: FakeRepo): object {
  const siblings = Object.entries(files).map(([rfilename, bytes]) => ({
    rfilename,
    size: bytes.length,
    blobId: createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex'),
    ...(rfilename.endsWith('.safetensors') ? { lfs: { sha256: sha256(bytes), size: bytes.length } } : {}),
  }));
  return { id: 'x', sha: commit, siblings };
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
