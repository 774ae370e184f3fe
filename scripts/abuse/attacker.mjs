// Does one abuse for as long as it is told, then says what it was answered.
import { setMaxListeners } from 'node:events';
import { ABUSES } from './abuses.mjs';
import { Answers } from './answers.mjs';

const { name, each_ms, ...target } = JSON.parse(process.argv[2] ?? '{}');
const answers = new Answers();
const end = new AbortController();
setMaxListeners(0, end.signal); // one for each connection
const timer = setTimeout(() => end.abort(), each_ms);
const abuse = ABUSES[name] ?? (() => new Promise((resolve) => setTimeout(resolve, each_ms)));
await abuse({ ...target, signal: end.signal, answers });
clearTimeout(timer);
process.send?.(answers.counts, () => process.exit(0));
