import { watchNpm } from './npm-parent.mjs';

/** One Ctrl-C arrives twice under npm: from the terminal and passed on by npm. */
const SAME_MS = 1_000;

/**
 * @param {{ onStop: (why: string) => void, onForce: () => void }} on  `onForce`: asked a second time
 * @returns {() => void} no longer listens for the end of npm
 */
export function onStopSignals({ onStop, onForce }) {
  /** @type {number | undefined} */
  let askedAt_ms;
  const ask = (/** @type {string} */ why) => {
    if (askedAt_ms === undefined) {
      askedAt_ms = Date.now();
      onStop(why);
    } else if (Date.now() - askedAt_ms > SAME_MS) onForce();
  };
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP']))
    process.on(signal, () => ask(signal));
  return watchNpm(() => ask('npm has ended'));
}
