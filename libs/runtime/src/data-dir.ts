import { setting, text } from './settings.js';

export const dataDirSettings = {
  dataDir: setting(
    {
      name: 'DATA_DIR',
      summary: 'Folder for what a process may keep between starts: caches, half-fetched imports',
      defaultText: './data',
    },
    text.string('./data'),
  ),
};
