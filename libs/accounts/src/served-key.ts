/** A version as usage names what was served. */
export const servedKey = (adapterId: string, version: number | undefined): string =>
  `${adapterId}@${version}`;
