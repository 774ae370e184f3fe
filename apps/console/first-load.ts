import type { Plugin, Rolldown } from 'vite';

/**
 * Read by Chromium: every function of the file is compiled off the main thread while the file arrives, instead of one by one
 * on it when each is first called. Other browsers read a comment.
 */
const COMPILE_AHEAD = '//# allFunctionsCalledOnLoad\n';

/** Everything that has to be there before `chunk` runs, itself first. */
function withImports(bundle: Rolldown.OutputBundle, chunk: Rolldown.OutputChunk): Set<string> {
  const files = new Set([chunk.fileName]);
  for (const file of files) {
    const each = bundle[file];
    if (each?.type === 'chunk') for (const imported of each.imports) files.add(imported);
  }
  return files;
}

/**
 * What the first view needs begins to load with the document: the entry asks for `module` only once it runs itself, so the
 * document names it and its imports. The entry stays small for that.
 */
export function loadWithDocument(module: string): Plugin {
  return {
    name: 'load-with-document',
    apply: 'build',
    generateBundle: {
      order: 'post',
      handler(_options, bundle) {
        for (const chunk of Object.values(bundle)) {
          if (chunk.type === 'chunk') chunk.code = COMPILE_AHEAD + chunk.code;
        }
      },
    },
    transformIndexHtml: {
      order: 'post',
      handler(html, { bundle = {} }) {
        const chunk = Object.values(bundle).find(
          (each) => each.type === 'chunk' && each.facadeModuleId?.endsWith(module),
        );
        if (chunk?.type !== 'chunk') throw new Error(`the build has no ${module}`);
        const known = (file: string): boolean => html.includes(`/${file}"`);
        return [...withImports(bundle, chunk)]
          .filter((file) => !known(file))
          .map((file) => ({
            tag: 'link',
            attrs: { rel: 'modulepreload', crossorigin: true, href: `/console/${file}` },
            injectTo: 'head',
          }));
      },
    },
  };
}

const MANY = 6;

/** All modules that `entry` imports, directly or not, without those that it asks for when it runs. */
function reachable(entry: string, context: Rolldown.ChunkingContext): ReadonlySet<string> {
  const ids = new Set([entry]);
  for (const id of ids)
    for (const imported of context.getModuleInfo(id)?.importedIds ?? []) ids.add(imported);
  return ids;
}

/**
 * What opens lists, menus and hints, and fields for numbers. Many pages have such a field, few need one before they can be
 * used, so it is not among what all pages share.
 */
const FIELDS =
  /node_modules\/(@floating-ui|react-number-format|@mantine\/core\/esm\/(utils\/Floating|components\/(Combobox|Popover|Input|InputBase|InlineInput|TextInput|Select|MultiSelect|Autocomplete|TagsInput|Pill|PillsInput|ScrollArea|NumberInput)))\//;

/**
 * One file each for what the entry runs, for React, for fields that open, and for what many pages share: a file costs a
 * millisecond before a byte of it is read.
 */
export function chunks(entry: string): NonNullable<Rolldown.OutputOptions['codeSplitting']> {
  let known: ReadonlySet<string> | undefined;
  const ofEntry = (id: string, context: Rolldown.ChunkingContext): boolean => {
    known ??= reachable(entry, context);
    return known.has(id) || id.includes('vite/preload-helper');
  };
  return {
    includeDependenciesRecursively: false,
    groups: [
      { name: 'react', test: /node_modules\/(react|react-dom|scheduler)\//, priority: 2 },
      { name: 'fields', test: FIELDS, priority: 2 },
      {
        debugName: 'start',
        name: (id, context) => (id !== entry && ofEntry(id, context) ? 'start' : null),
        priority: 1,
      },
      {
        debugName: 'common',
        name: (id, context) => (ofEntry(id, context) ? null : 'common'),
        minShareCount: MANY,
      },
    ],
  };
}
