// Does one abuse for as long as it is told, then says what it was answered.
import { setMaxListeners } from 'node:events';
import { ABUSES } from './abuses.mjs';
import { Answers } from './answers.mjs';

const { name, each_ms, ...target } = JSON.parse(process.argv[2] ?? '{}');
const answers = new Answers();
const end = new AbortController();
setMaxListeners(0, end.signal); // one for each connection
const abuse = ABUSES[name] ?? (() => new Promise((resolve) => setTimeout(resolve, each_ms)));
const { prepare, run, tidy } = typeof abuse === 'function' ? { run: abuse } : abuse;
await prepare?.(target);
const timer = setTimeout(() => end.abort(), each_ms);
await run({ ...target, signal: end.signal, answers });
clearTimeout(timer);
await tidy?.(target);
process.send?.(answers.counts, () => process.exit(0));
