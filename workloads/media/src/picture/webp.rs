//! `WebP` without metadata: chunks that are not needed to show the picture are left out.

const NEEDED: [&[u8; 4]; 7] = [b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"ICCP"];
/// Flags of the extended header that say that there is EXIF or XMP.
const METADATA: u8 = 0b0000_1100;
const ANIMATION: u8 = 0b0000_0010;
const HEADER: usize = 12;

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

/// Whether there is more than one picture in it.
pub(super) fn is_animated(bytes: &[u8]) -> bool {
    is_webp(bytes)
        && bytes.get(HEADER..HEADER + 4) == Some(b"VP8X")
        && bytes.get(HEADER + 8).is_some_and(|flags| flags & ANIMATION != 0)
}

fn is_webp(bytes: &[u8]) -> bool {
    bytes.starts_with(b"RIFF") && bytes.get(8..HEADER) == Some(b"WEBP")
}
