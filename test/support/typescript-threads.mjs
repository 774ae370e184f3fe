// Loaded into test processes (`--import`), and by inheritance into the threads they start: lets Node load the TypeScript
// of a worker thread, which no test runner transforms.
import { register } from 'node:module';

register('./typescript-hooks.mjs', import.meta.url);
