// A text with its web addresses as links and what a search found marked.
import { pieces } from '../store/text';

export function MessageText({ text, ranges, links = true }: { text: string; ranges?: readonly (readonly number[])[] | undefined; links?: boolean }) {
  return (
    <>
      {pieces(text, ranges).map((piece, index) => {
        const content = piece.found ? <mark>{piece.text}</mark> : piece.text;
        return piece.href && links
          ? <a key={index} href={piece.href} target="_blank" rel="noopener noreferrer nofollow">{content}</a>
          : content;
      })}
    </>
  );
}
