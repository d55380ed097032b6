//! PNG without metadata: chunks that are not needed to show the picture are left out.

const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";
const NEEDED: [&[u8; 4]; 15] = [
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP", b"bKGD",
    b"acTL", b"fcTL", b"fdAT",
];

/// Copies what a decoder needs; `None` when the structure is broken.
pub(super) fn strip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut rest = bytes.strip_prefix(&SIGNATURE)?;
    let mut out = Vec::with_capacity(bytes.len());
    out.extend_from_slice(&SIGNATURE);
    loop {
        let length = usize::try_from(u32::from_be_bytes(*rest.first_chunk()?)).ok()?;
        // Length, name, data and checksum.
        let (chunk, after) = rest.split_at_checked(length.checked_add(12)?)?;
        let name: &[u8; 4] = chunk[4..].first_chunk()?;
        if NEEDED.contains(&name) {
            out.extend_from_slice(chunk);
        }
        if name == b"IEND" {
            return Some(out);
        }
        rest = after;
    }
}
