const colours = process.stdout.isTTY === true && process.env.NO_COLOR === undefined;
/** @param {number} code @param {string} text */
const paint = (code, text) => (colours ? `\u001b[${code}m${text}\u001b[0m` : text);

// A reader that went away (`npm start | head`) must not take the servers with it.
process.stdout.on('error', () => {});
process.stderr.on('error', () => {});

/** @param {string} text */
export const bold = (text) => paint(1, text);

/** @param {string} [text] */
export function say(text = '') {
  process.stdout.write(`${text}\n`);
}

/** @param {string} text */
export function warn(text) {
  process.stderr.write(`${paint(33, text)}\n`);
}

/** @param {string} text */
export function complain(text) {
  process.stderr.write(`${paint(31, text)}\n`);
}

const REMINDER_MS = 15_000;
/** Shorter steps are not worth a line of their own. */
const SILENT_MS = 300;

/**
 * Runs one long step: says what begins, reminds while it lasts, says how long it took.
 * @template T
 * @param {string} title
 * @param {(progress: (text: string) => void) => Promise<T>} work  may say how far it is, for the next reminder
 * @returns {Promise<T>}
 */
export async function step(title, work) {
  const began = performance.now();
  const seconds = () => ((performance.now() - began) / 1000).toFixed(1);
  say(`${paint(36, '→')} ${title}`);
  let how = '';
  const reminder = setInterval(() => say(`  … ${title}: ${seconds()} s so far${how}`), REMINDER_MS);
  try {
    const result = await work((text) => {
      how = `, ${text}`;
    });
    if (performance.now() - began > SILENT_MS) say(`  done in ${seconds()} s`);
    return result;
  } finally {
    clearInterval(reminder);
  }
}
