//! JPEG without metadata: segments that only tell about the picture are left out, and so is whatever comes after its end
//! (phones put further pictures and films there).

const START: [u8; 2] = [0xff, 0xd8];
const END: [u8; 2] = [0xff, 0xd9];
const PROGRESSIVE: u8 = 0xc2;
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

/// How many coefficients a decoder keeps until it has read all of a picture: none when each part of it is there at once.
/// `None` when that can't be told.
pub(super) fn coefficients(bytes: &[u8], pixels: u64) -> Option<u64> {
    let mut at = START.len();
    let mut frame = None;
    loop {
        if *bytes.get(at)? != 0xff {
            return None;
        }
        let marker = *bytes.get(at + 1)?;
        match marker {
            // Fill bytes.
            0xff => at += 1,
            0x01 | 0xd0..=0xd7 => at += 2,
            _ => {
                let length = usize::from(u16::from_be_bytes([*bytes.get(at + 2)?, *bytes.get(at + 3)?]));
                let data = bytes.get(at + 4..at + 2 + length.max(2))?;
                match marker {
                    SCAN => {
                        let (progressive, components, kept): (bool, u8, u64) = frame?;
                        return Some(if progressive || *data.first()? != components { kept } else { 0 });
                    }
                    0xc4 | 0xc8 | 0xcc => {}
                    0xc0..=0xcf => {
                        let components = *data.get(5)?;
                        // Of each component, how often it is sampled in a block across and down.
                        let samples: Vec<(u64, u64)> = (0..usize::from(components))
                            .map(|nth| data.get(7 + 3 * nth).map(|both| (u64::from(both >> 4), u64::from(both & 15))))
                            .collect::<Option<_>>()?;
                        let across = samples.iter().map(|(across, _)| *across).max()?;
                        let down = samples.iter().map(|(_, down)| *down).max()?;
                        let sampled: u64 = samples.iter().map(|(across, down)| across * down).sum();
                        let kept = (pixels * sampled).checked_div(across * down)?;
                        frame = Some((marker == PROGRESSIVE, components, kept));
                    }
                    _ => {}
                }
                at += 2 + length.max(2);
            }
        }
    }
}
