import { Injectable } from '@nestjs/common';

/** Where callers reach the API, for the URLs that it hands out. No request has a say in it. */
@Injectable()
export class BaseUrl {
  #listens: string | undefined;

  /** `publicUrl`: PUBLIC_URL. */
  constructor(private readonly publicUrl: string | undefined) {}

  /** Tells the address that the server is bound to. */
  listensAt(url: string): void {
    this.#listens = url;
  }

  /** PUBLIC_URL, else the bound address; without a slash at its end. */
  get url(): string {
    const url = this.publicUrl ?? this.#listens;
    if (url === undefined) throw new Error('the server does not listen yet');
    return url.replace(/\/+$/, '');
  }
}
