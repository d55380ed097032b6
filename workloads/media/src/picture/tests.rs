use image::{Rgb, RgbImage, Rgba, RgbaImage};

use super::*;

/// The top left quarter is red, the rest blue.
pub(crate) fn drawing(width: u32, height: u32) -> DynamicImage {
    DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, |x, y| {
        if x < width / 2 && y < height / 2 { Rgb([250, 0, 0]) } else { Rgb([0, 0, 250]) }
    }))
}

fn written(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// EXIF with an orientation and, in a comment, where it was taken.
fn exif(orientation: u8) -> Vec<u8> {
    let mut exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend_from_slice(&[orientation, 0, 0, 0, 0, 0, 0, 0]);
    exif.extend_from_slice(b"GPS 52.5200 N 13.4050 E");
    exif
}

pub(crate) fn jpeg_with_exif(image: &DynamicImage, orientation: u8) -> Vec<u8> {
    let bytes = written(image, ImageFormat::Jpeg);
    let data = [b"Exif\0\0".to_vec(), exif(orientation)].concat();
    let length = u16::try_from(data.len() + 2).unwrap().to_be_bytes();
    [&bytes[..2], &[0xff, 0xe1], &length, &data, &bytes[2..], b"a film, taken at GPS 52.5200"].concat()
}

pub(crate) fn has_place(bytes: &[u8]) -> bool {
    bytes.windows(3).any(|window| window == b"GPS")
}

fn is_red(image: &DynamicImage, x: u32, y: u32) -> bool {
    let Rgb([red, _, blue]) = *image.to_rgb8().get_pixel(x, y);
    red > 150 && blue < 100
}

#[test]
fn an_upright_jpeg_keeps_its_pixels_and_loses_its_place() {
    let bytes = jpeg_with_exif(&drawing(640, 480), 1);
    assert!(has_place(&bytes), "the test looks for the right thing");
    let prepared = prepare(&bytes, ImageFormat::Jpeg).unwrap();
    assert!(!has_place(&prepared.shown));
    assert_eq!(prepared.picture, Picture { width: 640, height: 480 });
    let (before, after) = (image::load_from_memory(&bytes).unwrap(), image::load_from_memory(&prepared.shown).unwrap());
    assert_eq!(before.to_rgb8(), after.to_rgb8(), "nothing was compressed again");
    let small = image::load_from_memory(&prepared.thumbnail).unwrap();
    assert_eq!((small.width(), small.height(), prepared.thumbnail_type), (320, 240, "image/jpeg"));
    assert!(is_red(&small, 40, 40) && !is_red(&small, 280, 40));
}

#[test]
fn a_picture_that_lies_on_its_side_is_shown_upright() {
    // 6: the camera was turned, so the first row is on the right.
    let prepared = prepare(&jpeg_with_exif(&drawing(640, 480), 6), ImageFormat::Jpeg).unwrap();
    assert!(!has_place(&prepared.shown));
    assert_eq!(prepared.picture, Picture { width: 480, height: 640 });
    let shown = image::load_from_memory(&prepared.shown).unwrap();
    assert_eq!((shown.width(), shown.height()), (480, 640));
    assert!(is_red(&shown, 360, 160) && !is_red(&shown, 120, 160));
    let small = image::load_from_memory(&prepared.thumbnail).unwrap();
    assert_eq!((small.width(), small.height()), (240, 320));
    assert!(is_red(&small, 200, 60) && !is_red(&small, 40, 60));
}

#[test]
fn png_loses_texts_and_keeps_what_can_be_seen_through() {
    let image =
        DynamicImage::ImageRgba8(RgbaImage::from_fn(400, 100, |x, _| Rgba([0, 200, 0, if x < 200 { 0 } else { 255 }])));
    let bytes = written(&image, ImageFormat::Png);
    let data = b"Comment\0GPS 52.5200";
    // Decoders don't look at the checksums of chunks that they don't know.
    let text = [&u32::try_from(data.len()).unwrap().to_be_bytes()[..], b"tEXt", data, &[0; 4]].concat();
    let bytes = [&bytes[..33], &text, &bytes[33..]].concat();
    let shown = strip(&bytes, ImageFormat::Png).unwrap();
    assert!(has_place(&bytes) && !has_place(&shown));
    assert_eq!(image::load_from_memory(&shown).unwrap(), image);
    let prepared = prepare(&shown, ImageFormat::Png).unwrap();
    assert_eq!(prepared.thumbnail_type, "image/png");
    let small = image::load_from_memory(&prepared.thumbnail).unwrap().to_rgba8();
    assert_eq!((small.width(), small.height()), (320, 80));
    assert_eq!((small.get_pixel(10, 10).0[3], small.get_pixel(310, 10).0[3]), (0, 255));
}

#[test]
fn webp_loses_its_exif() {
    let image = drawing(50, 40);
    let bytes = written(&image, ImageFormat::WebP);
    let exif = exif(1);
    let padding = vec![0; exif.len() % 2];
    let header = [&b"VP8X\x0a\0\0\0\x08\0\0\0"[..], &[49, 0, 0, 39, 0, 0]].concat();
    let chunk = [b"EXIF", &u32::try_from(exif.len()).unwrap().to_le_bytes()[..], &exif, &padding].concat();
    let mut bytes = [&bytes[..12], &header, &bytes[12..], &chunk].concat();
    let size = u32::try_from(bytes.len() - 8).unwrap();
    bytes[4..8].copy_from_slice(&size.to_le_bytes());
    let prepared = prepare(&bytes, ImageFormat::WebP).unwrap();
    assert!(has_place(&bytes) && !has_place(&prepared.shown));
    assert_eq!(image::load_from_memory(&prepared.shown).unwrap().to_rgb8(), image.to_rgb8());
    assert_eq!(image::load_from_memory(&prepared.thumbnail).unwrap().width(), 50, "what is small stays as it is");
}

#[test]
fn gif_loses_comments_and_keeps_its_pictures() {
    let bytes = written(&DynamicImage::ImageRgba8(drawing(20, 20).to_rgba8()), ImageFormat::Gif);
    let table = if bytes[10] & 0x80 == 0 { 0 } else { 3 << ((bytes[10] & 7) + 1) };
    let at = 13 + table;
    let bytes = [&bytes[..at], b"\x21\xfe\x0bGPS 52.5200\0", &bytes[at..]].concat();
    let prepared = prepare(&bytes, ImageFormat::Gif).unwrap();
    assert!(has_place(&bytes) && !has_place(&prepared.shown));
    let (before, after) = (image::load_from_memory(&bytes).unwrap(), image::load_from_memory(&prepared.shown).unwrap());
    assert_eq!(before, after);
}

#[test]
fn a_bomb_is_refused_by_its_header() {
    // 20,000 by 20,000 pixels, it says, and the checksum is right.
    let bytes = png_header(20_000, 20_000, 8, 2);
    assert!(matches!(memory(&bytes, ImageFormat::Png), Err(PictureError::TooLarge)));
    assert!(matches!(prepare(&bytes, ImageFormat::Png), Err(PictureError::TooLarge)));
}

/// A PNG's header, of so many pixels and of a colour type with this many bits.
pub(crate) fn png_header(width: u32, height: u32, bits: u8, colour: u8) -> Vec<u8> {
    let mut bytes = written(&drawing(10, 10), ImageFormat::Png);
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    bytes[24..26].copy_from_slice(&[bits, colour]);
    let sum = checksum(&bytes[12..29]).to_be_bytes();
    bytes[29..33].copy_from_slice(&sum);
    bytes
}

/// A PNG with a chunk of EXIF behind its header.
fn with_exif(png: &[u8], orientation: u8) -> Vec<u8> {
    let chunk = [b"eXIf".to_vec(), exif(orientation)].concat();
    let length = u32::try_from(chunk.len() - 4).unwrap().to_be_bytes();
    [&png[..33], &length, &chunk, &checksum(&chunk).to_be_bytes(), &png[33..]].concat()
}

#[test]
fn a_picture_is_refused_when_reading_or_turning_it_takes_too_much_memory() {
    const MEGA: u64 = 1_000_000;
    let png = |height, bits, colour, orientation| {
        memory(&with_exif(&png_header(4000, height, bits, colour), orientation), ImageFormat::Png).ok()
    };
    // Of eight bits: red, green, blue; and how far one sees through.
    assert_eq!(png(10_000, 8, 2, 1), Some(120 * MEGA + MOST_PNG_MEMORY));
    assert_eq!(png(10_001, 8, 2, 1), None, "too many pixels");
    assert_eq!(png(10_000, 8, 6, 1), Some(160 * MEGA + MOST_PNG_MEMORY));
    // Turned, there is a second one, and what is written.
    assert_eq!(png(5000, 8, 6, 6), Some(240 * MEGA + MOST_PNG_MEMORY));
    assert_eq!(png(10_000, 8, 6, 6), None);
    // Of sixteen bits.
    assert_eq!(png(10_000, 16, 2, 1), Some(240 * MEGA + MOST_PNG_MEMORY));
    assert_eq!(png(10_000, 16, 2, 6), None);
    assert_eq!(png(10_000, 16, 6, 1), None);
}

#[test]
fn a_picture_of_sixteen_bits_is_turned_with_eight() {
    let image = DynamicImage::ImageRgb16(image::ImageBuffer::from_fn(40, 20, |x, y| {
        Rgb(if x < 20 && y < 10 { [u16::MAX, 0, 0] } else { [0, 0, u16::MAX] })
    }));
    let bytes = with_exif(&written(&image, ImageFormat::Png), 6);
    let shown = image::load_from_memory(&prepare(&bytes, ImageFormat::Png).unwrap().shown).unwrap();
    assert_eq!((shown.width(), shown.height(), shown.color()), (20, 40, image::ColorType::Rgb8));
    assert!(is_red(&shown, 15, 5) && !is_red(&shown, 5, 5));
}

#[test]
fn a_jpeg_in_parts_takes_memory_for_its_coefficients() {
    let bytes = written(&drawing(640, 480), ImageFormat::Jpeg);
    assert_eq!(memory(&bytes, ImageFormat::Jpeg).unwrap(), 640 * 480 * 3);
    let at = bytes.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    let mut parts = bytes.clone();
    parts[at + 1] = 0xc2;
    // Its colours are sampled half as often, both ways: each pixel has one and a half coefficients of two bytes.
    let sampled: Vec<u8> = [0, 3, 6].iter().map(|nth| bytes[at + 11 + nth]).collect();
    let coefficients = if sampled == [0x22, 0x11, 0x11] { 640 * 480 * 3 / 2 } else { 640 * 480 * 3 };
    assert_eq!(memory(&parts, ImageFormat::Jpeg).unwrap(), 640 * 480 * 3 + 2 * coefficients);
}

#[test]
fn a_webp_whose_frame_is_larger_than_it_says_is_refused() {
    let canvas = [&b"VP8X\x0a\0\0\0\0\0\0\0"[..], &[9, 0, 0, 9, 0, 0]].concat();
    // A frame of 16,383 by 16,383 pixels begins.
    let frame = [&b"VP8 \x0a\0\0\0"[..], &[0x10, 0, 0, 0x9d, 0x01, 0x2a, 0xff, 0x3f, 0xff, 0x3f]].concat();
    let bytes = [&b"RIFF\x30\0\0\0WEBP"[..], &canvas, &frame, &[0; 8]].concat();
    assert_eq!(webp::frame_memory(&bytes, 100), 16_383 * 16_383 * 8);
    assert!(matches!(prepare(&bytes, ImageFormat::WebP), Err(PictureError::TooLarge)));
}

#[test]
fn a_turned_webp_is_written_as_it_is_seen() {
    let image = drawing(50, 40);
    let bytes = encode(&image, ImageFormat::WebP, None).unwrap();
    assert_eq!(image::load_from_memory(&bytes).unwrap().to_rgb8(), image.to_rgb8());
}

#[test]
fn nonsense_is_refused_whatever_it_says_to_be() {
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif] {
        let whole = written(&DynamicImage::ImageRgba8(drawing(30, 30).to_rgba8()).to_rgb8().into(), format);
        for length in 0..whole.len() {
            // Whatever the outcome, it is one.
            let _ = strip(&whole[..length], format);
        }
        for length in [0, 1, 8, 20] {
            assert!(prepare(&whole[..length], format).is_err(), "{format:?} {length}");
        }
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 })
    })
}
