import { Textarea, type TextareaProps } from '@mantine/core';

interface GrowingTextProps
  extends Omit<TextareaProps, 'autosize' | 'rows' | 'minRows' | 'maxRows' | 'styles'> {
  readonly minRows: number;
  readonly maxRows: number;
  readonly monospace?: boolean;
}

/** Above and below the lines: padding and border of the library's field. */
const FRAME = '14px';

/**
 * A field as high as its text. The browser's own measure (`field-sizing`), since a script's makes it lay the page out twice
 * before anything is seen; where it has none, the field is drawn larger at its corner.
 */
export function GrowingText({ minRows, maxRows, monospace = false, ...props }: GrowingTextProps) {
  return (
    <Textarea
      {...props}
      rows={minRows}
      resize="vertical"
      styles={{
        input: {
          ...(monospace ? { fontFamily: 'var(--mantine-font-family-monospace)' } : {}),
          fieldSizing: 'content',
          minHeight: `calc(${minRows}lh + ${FRAME})`,
          maxHeight: `calc(${maxRows}lh + ${FRAME})`,
        },
      }}
    />
  );
}
