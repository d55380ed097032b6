//! JPEG without metadata: segments that only tell about the picture are left out, and so is whatever comes after its end
//! (phones put further pictures and films there).

const START: [u8; 2] = [0xff, 0xd8];
const END: [u8; 2] = [0xff, 0xd9];
const SCAN: u8 = 0xda;

/// Copies what a decoder needs; `None` when the structure is broken.
pub(super) fn strip(bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.get(..2)? != START {
        return None;
    }
    let mut out = Vec::with_capacity(bytes.len());
    out.extend_from_slice(&START);
    let mut at = 2;
    loop {
        if *bytes.get(at)? != 0xff {
            return None;
        }
        let marker = *bytes.get(at + 1)?;
        match marker {
            // Fill bytes.
            0xff => at += 1,
            0xd9 => {
                out.extend_from_slice(&END);
                return Some(out);
            }
            0x01 | 0xd0..=0xd7 => {
                out.extend_from_slice(&[0xff, marker]);
                at += 2;
            }
            0x00 | 0xd8 => return None,
            _ => {
                let length = usize::from(u16::from_be_bytes([*bytes.get(at + 2)?, *bytes.get(at + 3)?]));
                let segment = bytes.get(at..at + 2 + length.max(2))?;
                if is_needed(marker, segment.get(4..).unwrap_or_default()) {
                    out.extend_from_slice(segment);
                }
                at += segment.len();
                if marker == SCAN {
                    let scan = scan_length(&bytes[at..]);
                    out.extend_from_slice(&bytes[at..at + scan]);
                    at += scan;
                    // It was cut off; what there is can be shown.
                    if at >= bytes.len() {
                        out.extend_from_slice(&END);
                        return Some(out);
                    }
                }
            }
        }
    }
}

/// Whether a segment is needed to show the picture: of the application segments, those that tell its colours.
fn is_needed(marker: u8, data: &[u8]) -> bool {
    match marker {
        0xe0 => data.starts_with(b"JFIF\0"),
        0xe2 => data.starts_with(b"ICC_PROFILE\0"),
        0xee => data.starts_with(b"Adobe"),
        0xe1..=0xef | 0xfe => false,
        _ => true,
    }
}

/// Bytes up to the next marker that is no restart.
fn scan_length(data: &[u8]) -> usize {
    let marker = data.windows(2).position(|pair| pair[0] == 0xff && !matches!(pair[1], 0x00 | 0xd0..=0xd7 | 0xff));
    marker.unwrap_or(data.len())
}
