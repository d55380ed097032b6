use image::{Rgb, RgbImage, Rgba, RgbaImage};

use super::*;

/// The top left quarter is red, the rest blue.
fn drawing(width: u32, height: u32) -> DynamicImage {
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

fn jpeg_with_exif(image: &DynamicImage, orientation: u8) -> Vec<u8> {
    let bytes = written(image, ImageFormat::Jpeg);
    let data = [b"Exif\0\0".to_vec(), exif(orientation)].concat();
    let length = u16::try_from(data.len() + 2).unwrap().to_be_bytes();
    [&bytes[..2], &[0xff, 0xe1], &length, &data, &bytes[2..], b"a film, taken at GPS 52.5200"].concat()
}

fn has_place(bytes: &[u8]) -> bool {
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
    let mut bytes = written(&drawing(10, 10), ImageFormat::Png);
    // 20,000 by 20,000 pixels, it says, and the checksum is right.
    for at in [16, 20] {
        bytes[at..at + 4].copy_from_slice(&20_000_u32.to_be_bytes());
    }
    let sum = checksum(&bytes[12..29]).to_be_bytes();
    bytes[29..33].copy_from_slice(&sum);
    assert!(matches!(pixels(&bytes, ImageFormat::Png), Err(PictureError::TooLarge)));
    assert!(matches!(prepare(&bytes, ImageFormat::Png), Err(PictureError::TooLarge)));
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
