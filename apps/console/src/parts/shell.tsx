import { ActionIcon, Code, CopyButton } from '@mantine/core';
import { IconCheck, IconCopy } from '@tabler/icons-react';
import { Group } from './elements';

/** Text to be copied: a command, a secret, a digest. */
export function Shell({ text, block = true }: { text: string; block?: boolean }) {
  return (
    <Group gap={6} wrap="nowrap" align="flex-start" maw="100%">
      <Code block={block} className="scroll-x paste" tabIndex={block ? 0 : undefined} miw={0}>
        {text}
      </Code>
      <CopyButton value={text}>
        {({ copied, copy }) => (
          <ActionIcon variant="subtle" onClick={copy} title="Copy" aria-label={copied ? 'Copied' : 'Copy'}>
            {copied ? <IconCheck size={16} /> : <IconCopy size={16} />}
          </ActionIcon>
        )}
      </CopyButton>
    </Group>
  );
}
