const colours = process.stdout.isTTY === true && process.env.NO_COLOR === undefined;
/** @param {number} code @param {string} text */
const paint = (code, text) => (colours ? `\u001b[${code}m${text}\u001b[0m` : text);

// A reader that went away (`npm start | head`) must not take the servers with it.
process.stdout.on('error', () => {});
process.stderr.on('error', () => {});

/** @param {string} text */
export const bold = (text) => paint(1, text);

/** The line of a running step, redrawn in place; only on a terminal. */
let progressLine = '';

/** Writes whole lines above the progress line. @param {NodeJS.WriteStream} stream @param {string} text */
function writeLines(stream, text) {
  if (progressLine !== '') process.stdout.write(CLEAR_LINE);
  stream.write(`${text}\n`);
  if (progressLine !== '') process.stdout.write(progressLine);
}

/** @param {string} line  empty: none any more */
function drawProgress(line) {
  if (progressLine === '' && line === '') return;
  // Longer than the terminal is wide, a line could not be redrawn in place.
  progressLine = line.slice(0, Math.max(20, (process.stdout.columns ?? 80) - 1));
  process.stdout.write(CLEAR_LINE + progressLine);
}

/** @param {string} [text] */
export function say(text = '') {
  writeLines(process.stdout, text);
}

/** @param {string} text */
export function warn(text) {
  writeLines(process.stderr, paint(33, text));
}

/** @param {string} text */
export function complain(text) {
  writeLines(process.stderr, paint(31, text));
}

const CLEAR_LINE = '\r\u001b[2K';
/** Where lines cannot be redrawn, a long step reminds of itself this often. */
const REMINDER_MS = 15_000;
const REDRAW_MS = 200;
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
  const inPlace = process.stdout.isTTY === true;
  if (!inPlace) say(`${paint(36, '→')} ${title}`);
  let how = '';
  const redraw = () => drawProgress(`→ ${title}: ${seconds()} s${how}`);
  if (inPlace) redraw();
  const reminder = inPlace
    ? setInterval(redraw, REDRAW_MS)
    : setInterval(() => say(`  … ${title}: ${seconds()} s so far${how}`), REMINDER_MS);
  try {
    const result = await work((text) => {
      how = `, ${text}`;
    });
    clearInterval(reminder);
    if (inPlace) drawProgress('');
    if (performance.now() - began > SILENT_MS) {
      say(inPlace ? `${paint(36, '→')} ${title}: ${seconds()} s` : `  done in ${seconds()} s`);
    }
    return result;
  } finally {
    clearInterval(reminder);
    if (inPlace) drawProgress('');
  }
}
