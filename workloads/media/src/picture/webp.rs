//! `WebP` without metadata: chunks that are not needed to show the picture are left out.

const NEEDED: [&[u8; 4]; 7] = [b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"ICCP"];
/// Flags of the extended header that say that there is EXIF or XMP.
const METADATA: u8 = 0b0000_1100;
const ANIMATION: u8 = 0b0000_0010;
const HEADER: usize = 12;
/// What is before the chunks of a frame of an animation: its place, its extent, how long it is shown.
const FRAME_HEADER: usize = 16;
const LONGEST_SIDE: u16 = 0x3fff;

/// Copies what a decoder needs; `None` when the structure is broken.
pub(super) fn strip(bytes: &[u8]) -> Option<Vec<u8>> {
    if !is_webp(bytes) {
        return None;
    }
    let end = usize::try_from(u32::from_le_bytes(*bytes[4..].first_chunk()?)).ok()?.checked_add(8)?;
    let mut rest = bytes.get(HEADER..end.min(bytes.len()))?;
    let mut out = Vec::with_capacity(bytes.len());
    out.extend_from_slice(&bytes[..HEADER]);
    while !rest.is_empty() {
        let length = usize::try_from(u32::from_le_bytes(*rest.get(4..)?.first_chunk()?)).ok()?;
        // Chunks begin at even places; the last one may lack its padding.
        let padded = length.checked_add(8)?.checked_next_multiple_of(2)?;
        let (chunk, after) =
            rest.split_at_checked(padded).or_else(|| (padded == rest.len() + 1).then_some((rest, &[])))?;
        let name: &[u8; 4] = chunk.first_chunk()?;
        if NEEDED.contains(&name) {
            let begins = out.len();
            out.extend_from_slice(chunk);
            if chunk.len() % 2 == 1 {
                out.push(0);
            }
            if name == b"VP8X" {
                *out.get_mut(begins + 8)? &= !METADATA;
            }
        }
        rest = after;
    }
    let size = u32::try_from(out.len() - 8).ok()?;
    out[4..8].copy_from_slice(&size.to_le_bytes());
    Some(out)
}

/// Bytes of memory that a decoder takes beside the picture. Frames say themselves how large they are, and are read before
/// that is compared with the picture.
pub(super) fn frame_memory(bytes: &[u8], pixels: u64) -> u64 {
    let mut largest = pixels;
    let mut rest = bytes.get(HEADER..).unwrap_or_default();
    while let Some((header, data)) = rest.split_first_chunk::<8>() {
        let [name @ .., a, b, c, d] = header;
        let length = usize::try_from(u32::from_le_bytes([*a, *b, *c, *d])).unwrap_or(usize::MAX);
        // Inside of a frame of an animation are chunks too.
        let skipped = if name == b"ANMF" { FRAME_HEADER } else { length.saturating_add(length % 2) };
        if name == b"VP8 " {
            let side = |at: usize| Some(u64::from(u16::from_le_bytes(*data.get(at..)?.first_chunk()?) & LONGEST_SIDE));
            // A frame that ends before its sides are said is refused before it takes memory.
            largest = largest.max(side(6).unwrap_or(0) * side(8).unwrap_or(0));
        }
        rest = data.get(skipped..).unwrap_or_default();
    }
    // One copy with all channels; one more where there is a canvas or a layer of what can be seen through.
    let copies = if is_extended(bytes) { 2 } else { 1 };
    largest * 4 * copies
}

/// Whether there is more than one picture in it.
pub(super) fn is_animated(bytes: &[u8]) -> bool {
    is_webp(bytes) && is_extended(bytes) && bytes.get(HEADER + 8).is_some_and(|flags| flags & ANIMATION != 0)
}

fn is_extended(bytes: &[u8]) -> bool {
    bytes.get(HEADER..HEADER + 4) == Some(b"VP8X")
}

fn is_webp(bytes: &[u8]) -> bool {
    bytes.starts_with(b"RIFF") && bytes.get(8..HEADER) == Some(b"WEBP")
}
