declare module 'virtual:sampling-controls' {
  export const CONTROLS: readonly import('#contracts/openai/generation-fields.js').SamplingControl[];
}
