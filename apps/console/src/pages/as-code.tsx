import { Tabs } from '@mantine/core';
import { asCurl, asPython, asTypeScript } from '../parts/call-as-code';
import { Shell } from '../parts/shell';

/** The call that the page makes, with the reader's own URL. */
export function AsCode({ path, body }: { path: string; body: object }) {
  const call = { base: window.location.origin, path, body };
  return (
    <Tabs defaultValue="curl" variant="outline" keepMounted={false}>
      <Tabs.List>
        <Tabs.Tab value="curl">curl</Tabs.Tab>
        <Tabs.Tab value="python">Python</Tabs.Tab>
        <Tabs.Tab value="typescript">TypeScript</Tabs.Tab>
      </Tabs.List>
      <Tabs.Panel value="curl" pt="xs">
        <Shell text={asCurl(call)} />
      </Tabs.Panel>
      <Tabs.Panel value="python" pt="xs">
        <Shell text={asPython(call)} />
      </Tabs.Panel>
      <Tabs.Panel value="typescript" pt="xs">
        <Shell text={asTypeScript(call)} />
      </Tabs.Panel>
    </Tabs>
  );
}
