// Files that will go with the next message, and how far they have got.
import { strings } from '../i18n/en';
import { sizeOf } from '../i18n/times';
import { removeUpload, retryUpload, type Uploading } from '../session/uploads';
import { CloseIcon, FileIcon, RetryIcon } from './icons';

/** `onGone` takes the focus from a button that is gone when it was pressed. */
export function PendingUploads({ chat_id, files, onGone }: { chat_id: string; files: readonly Uploading[]; onGone(): void }) {
  const press = (act: (chat_id: string, id: string) => void, id: string) => {
    act(chat_id, id);
    onGone();
  };
  return (
    <ul class="uploads" role="list" aria-label={strings.attachments}>
      {files.map((file) => (
        <li key={file.id} class={`upload upload-${file.state}`} data-testid="upload" data-state={file.state}>
          {file.preview && file.state !== 'failed' ? <img class="upload-picture" src={file.preview} alt="" /> : <span class="upload-picture"><FileIcon /></span>}
          <span class="upload-text">
            <strong dir="auto">{file.name}</strong>
            <UploadState file={file} />
          </span>
          {file.state === 'failed' && file.again && (
            <button type="button" class="icon-button" aria-label={strings.tryAgain} title={strings.tryAgain} onClick={() => press(retryUpload, file.id)}><RetryIcon /></button>
          )}
          <button type="button" class="icon-button" aria-label={strings.removeFile(file.name)} title={strings.removeFile(file.name)} onClick={() => press(removeUpload, file.id)}><CloseIcon /></button>
        </li>
      ))}
    </ul>
  );
}

function UploadState({ file }: { file: Uploading }) {
  switch (file.state) {
    case 'failed': return <span class="upload-fault" role="alert">{file.fault ?? strings.uploadFailed}</span>;
    case 'checking': return <span>{strings.uploadChecking}</span>;
    case 'done': return <span><bdi>{sizeOf(file.size)}</bdi></span>;
    default: return <progress max={1} value={file.part} aria-label={strings.uploadOf(file.name)}>{strings.uploading(Math.round(file.part * 100))}</progress>;
  }
}
