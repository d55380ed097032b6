// Keys of input methods, with which words are put together: they are not for the page.

/** Whether a key belongs to an input method. Safari ends a word before the key that ends it, and tells by 229 only. */
export const composes = (event: KeyboardEvent): boolean => event.isComposing || event.keyCode === 229;
