// The files of a message: pictures as pictures, others by name and size.
import { useEffect, useState } from 'preact/hooks';
import { reachable } from '../api/media';
import type { Media } from '../api/types';
import { strings } from '../i18n/en';
import { sizeOf } from '../i18n/times';
import { follow, media, want } from '../session/media';
import { Dialog } from './Dialog';
import { FileIcon } from './icons';

const SIDE = 300;

export function Attachments({ ids }: { ids: readonly string[] }) {
  return (
    <div class={ids.length > 1 ? 'files files-many' : 'files'}>
      {ids.map((id) => <Attachment key={id} id={id} />)}
    </div>
  );
}

function Attachment({ id }: { id: string }) {
  const shown = media.value.get(id);
  useEffect(() => want(id), [id]);
  if (shown === 'gone') return <p class="file file-gone">{strings.fileGone}</p>;
  if (!shown || shown === 'loading') return <div class="picture picture-empty" aria-busy="true" />;
  return shown.content_type.startsWith('image/') && (shown.thumbnail_url || shown.width) ? <Picture one={shown} /> : <FileCard one={shown} />;
}

/** The size on screen: as it is, but no side longer than `SIDE`. */
function fit(one: Media): { width: number; height: number } {
  const width = one.width || 240;
  const height = one.height || 180;
  const scale = Math.min(1, SIDE / Math.max(width, height));
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}

/** What a link to a file has. */
const linkTo = (one: Media) => ({
  href: reachable(one.url),
  target: '_blank',
  rel: 'noopener noreferrer',
  download: one.filename ?? '',
  onClick: (event: Event) => void follow(event, one.media_id, open),
});

/** Opens an address as a click on a link to it would. */
function open(one: Media): void {
  const { href, target, rel, download } = linkTo(one);
  Object.assign(document.createElement('a'), { href, target, rel, download }).click();
}

function Picture({ one }: { one: Media }) {
  const [open, setOpen] = useState(false);
  const [broken, setBroken] = useState(0);
  const name = one.filename || strings.aPicture;
  // The first time the address may have expired; after that it is the file.
  const failed = () => {
    setBroken(broken + 1);
    if (broken === 0) want(one.media_id, true);
  };
  if (broken > 1) return <FileCard one={one} />;
  return (
    <>
      <button type="button" class="picture" aria-label={strings.openPicture(name)} onClick={() => { want(one.media_id); setOpen(true); }}>
        <img src={reachable(one.thumbnail_url || one.url)} alt={strings.pictureNamed(name)} {...fit(one)} loading="lazy" decoding="async" data-testid="thumbnail" onError={failed} />
      </button>
      {open && (
        <Dialog title={name} class="viewer" onClose={() => setOpen(false)}>
          <img src={reachable(one.url)} alt={strings.pictureNamed(name)} {...(one.width && one.height ? { width: one.width, height: one.height } : {})} />
          <div class="dialog-buttons">
            <a class="button" {...linkTo(one)}>{strings.download(sizeOf(one.size))}</a>
            <button type="button" class="button button-main" onClick={() => setOpen(false)}>{strings.close}</button>
          </div>
        </Dialog>
      )}
    </>
  );
}

function FileCard({ one }: { one: Media }) {
  const name = one.filename || strings.aFile;
  return (
    <a class="file" {...linkTo(one)} title={strings.download(name)} data-testid="file-link">
      <FileIcon />
      <span class="file-text"><strong dir="auto">{name}</strong><span><bdi>{sizeOf(one.size)}</bdi></span></span>
    </a>
  );
}
