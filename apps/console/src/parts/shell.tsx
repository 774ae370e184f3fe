import { ActionIcon, Code, CopyButton, Group, Tooltip } from '@mantine/core';
import { IconCheck, IconCopy } from '@tabler/icons-react';

/** Text to be copied: a command, a secret, a digest. */
export function Shell({ text, block = true }: { text: string; block?: boolean }) {
  return (
    <Group gap={6} wrap="nowrap" align="flex-start" maw="100%">
      <Code block={block} className="scroll-x" tabIndex={block ? 0 : undefined} miw={0}>
        {text}
      </Code>
      <CopyButton value={text}>
        {({ copied, copy }) => (
          <Tooltip label={copied ? 'Copied' : 'Copy'}>
            <ActionIcon variant="subtle" onClick={copy} aria-label="Copy">
              {copied ? <IconCheck size={16} /> : <IconCopy size={16} />}
            </ActionIcon>
          </Tooltip>
        )}
      </CopyButton>
    </Group>
  );
}
