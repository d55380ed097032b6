// Whether the page is used with a finger.

/** With a finger, Enter makes a new line, for there is a button to send; and a field that has the focus brings up a
 * keyboard, which covers half of the page. */
export const coarse = matchMedia('(pointer: coarse)');
