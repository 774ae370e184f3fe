import { expect, it } from 'vitest';
import { bytesText, tableText } from './table.js';

it('puts numbers to the right, and nothing where there is nothing', () => {
  expect(
    tableText(
      ['NAME', 'COUNT'],
      [
        ['a', 1],
        ['longer', 1000],
        [null, null],
      ],
    ),
  ).toBe(['NAME    COUNT', 'a           1', 'longer   1000', '-           -'].join('\n'));
});

it('lets no cell start a line or move the cursor', () => {
  expect(tableText(['NAME'], [['a\n\u001b[2Jb']])).toBe('NAME\na [2Jb');
});

it.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1024, '1.0 KiB'],
  [5 * 2 ** 30, '5.0 GiB'],
])('says %i bytes', (bytes, text) => {
  expect(bytesText(bytes)).toBe(text);
});
