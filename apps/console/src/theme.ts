import { type CSSVariablesResolver, createTheme } from '@mantine/core';

export const theme = createTheme({
  primaryColor: 'teal',
  primaryShade: { light: 9, dark: 9 },
  defaultRadius: 'md',
  fontFamily: 'Inter, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif',
  fontFamilyMonospace: 'ui-monospace, "SF Mono", "JetBrains Mono", Menlo, Consolas, monospace',
  autoContrast: true,
});

/** Text on a tint of its own colour: dark enough for WCAG's 4.5 to 1, which the library's shades are not. */
const TEXT_ON_TINT = {
  light: {
    teal: '#05583f',
    red: '#9c1c1c',
    orange: '#8a3800',
    yellow: '#6b4e00',
    blue: '#124d84',
    gray: '#343a40',
  },
  dark: {
    teal: '#96f2d7',
    red: '#ffc9c9',
    orange: '#ffd8a8',
    yellow: '#ffec99',
    blue: '#a5d8ff',
    gray: '#dee2e6',
  },
} as const;

const tinted = (scheme: keyof typeof TEXT_ON_TINT): Record<string, string> =>
  Object.fromEntries(
    Object.entries(TEXT_ON_TINT[scheme]).map(([name, value]) => [
      `--mantine-color-${name}-light-color`,
      value,
    ]),
  );

export const readable: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    '--mantine-color-dimmed': '#495057',
    '--mantine-color-placeholder': '#6c757d',
    '--mantine-color-anchor': '#05583f',
    '--mantine-primary-color-light-color': TEXT_ON_TINT.light.teal,
    ...tinted('light'),
  },
  dark: {
    '--mantine-color-dimmed': '#b8bcc2',
    '--mantine-color-placeholder': '#9aa0a6',
    '--mantine-color-anchor': '#63e6be',
    '--mantine-primary-color-light-color': TEXT_ON_TINT.dark.teal,
    ...tinted('dark'),
  },
});
