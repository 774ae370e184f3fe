import './mantine.css';
import './console.css';
import './elements.css';
import './layout/shell.css';
import { whoIsSignedIn } from './api/who';
import { pageAt } from './addresses';

// All that the first view needs is on its way before any of it runs; this module imports no library for that. What fails
// here fails again where the view shows it.
const who = whoIsSignedIn();
const page = pageAt(window.location.pathname)?.();
Promise.allSettled([who, page]);
const { start } = await import('./app');
await start(who);
