/** The logger of the inference module. */
export const INFERENCE_LOGGER = Symbol('INFERENCE_LOGGER');
