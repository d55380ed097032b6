// Ids. A message's id is a UUIDv7: compared as text it is the order of messages, and it begins with its time.

/** Milliseconds since 1970 of a UUIDv7. */
export const timeOf = (id: string): number => parseInt(id.slice(0, 8) + id.slice(9, 13), 16);

/** The later of two ids; what is missing is before everything. */
export function later(a: string | null | undefined, b: string | null | undefined): string | null {
  if (!a) return b ?? null;
  if (!b) return a;
  return a > b ? a : b;
}

/** Whether `mark` has got to `id`. */
export const reaches = (mark: string | null | undefined, id: string): boolean => !!mark && mark >= id;

/** A random id; `crypto.randomUUID` does not exist on pages that are not secure. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
