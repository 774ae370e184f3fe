import type { Printer } from '../printer.js';

/** The secret alone on standard output, so that it can be piped. */
export function showSecretOnce(
  print: Printer,
  created: { readonly id: string; readonly secret: string },
  more?: string,
): void {
  print.note(`${created.id}${more === undefined ? '' : `: ${more}`}`);
  print.note('this is the only time that its secret is shown:');
  print.result(created, ({ secret }) => secret);
}
