// All of one's own data, as the server has them.
import { token } from './credentials';
import { urlOf } from './http';
import { ApiError, problemOf } from './problem';

/** Without a byte for so long, a link is taken to be dead; before the first ones the server has to begin. */
const STALL_MS = 30_000;

/** Fetches the export, however long that takes, as long as something of it comes. */
export async function exported(): Promise<Blob> {
  const stop = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const goOn = () => {
    clearTimeout(timer);
    timer = setTimeout(() => stop.abort(), STALL_MS);
  };
  const lost = (): never => { throw new ApiError(0, 'network', ''); };
  const Authorization = `Bearer ${await token()}`;
  goOn();
  try {
    const response = await fetch(urlOf('/me/export'), { headers: { Authorization }, signal: stop.signal, credentials: 'omit', cache: 'no-store' }).catch(lost);
    if (!response.ok) throw problemOf(response.status, await response.text().catch(lost), response.headers.get('Retry-After'));
    const reader = response.body!.getReader();
    const parts: BlobPart[] = [];
    for (let part = await reader.read().catch(lost); !part.done; part = await reader.read().catch(lost)) {
      goOn();
      parts.push(part.value);
    }
    return new Blob(parts);
  } finally {
    clearTimeout(timer);
  }
}
