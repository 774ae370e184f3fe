/** Tools as they stand in the form; what is no JSON goes as it is: the API says what it expects. */
export function toolsBody(text: string): { readonly tools?: unknown } {
  if (text.trim() === '') return {};
  try {
    return { tools: JSON.parse(text) as unknown };
  } catch {
    return { tools: text };
  }
}
