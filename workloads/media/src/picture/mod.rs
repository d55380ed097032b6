//! Pictures: how large they are, what they look like without metadata, and small.

mod gif;
mod jpeg;
mod png;
mod webp;

use std::io::Cursor;

use image::{
    DynamicImage, ImageDecoder, ImageEncoder, ImageFormat, ImageReader, Limits,
    codecs::{jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder},
    metadata::Orientation,
};
use sentinel_domain::media::Picture;

/// Longest side of a thumbnail in pixels.
const THUMBNAIL: u32 = 320;
/// Pixels of a picture at most.
pub(crate) const MOST_PIXELS: u32 = 40_000_000;
/// Longest side of a picture in pixels.
const LONGEST_SIDE: u32 = 20_000;
/// Memory that reading one picture may take: its pixels at six bytes each.
const MOST_MEMORY: u64 = MOST_PIXELS as u64 * 6;
const THUMBNAIL_QUALITY: u8 = 80;
/// Of a picture that had to be turned; high, because it was compressed before.
const TURNED_QUALITY: u8 = 92;

/// A picture that can't be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PictureError {
    /// Its bytes make no sense.
    #[error("the picture can't be read")]
    Broken(#[source] Option<image::ImageError>),
    /// It would take too much memory.
    #[error("a picture has at most {MOST_PIXELS} pixels and {LONGEST_SIDE} on a side")]
    TooLarge,
}

impl From<image::ImageError> for PictureError {
    fn from(error: image::ImageError) -> Self {
        match error {
            image::ImageError::Limits(_) => Self::TooLarge,
            error => Self::Broken(Some(error)),
        }
    }
}

/// A picture as it is shown.
pub(crate) struct Prepared {
    /// Its bytes without metadata, upright.
    pub shown: Vec<u8>,
    /// Its extent, upright.
    pub picture: Picture,
    /// The small picture.
    pub thumbnail: Vec<u8>,
    /// The small picture's content type.
    pub thumbnail_type: &'static str,
}

/// The format of a content type that is a picture.
pub(crate) fn format_of(content_type: &str) -> Option<ImageFormat> {
    match content_type {
        "image/jpeg" => Some(ImageFormat::Jpeg),
        "image/png" => Some(ImageFormat::Png),
        "image/webp" => Some(ImageFormat::WebP),
        "image/gif" => Some(ImageFormat::Gif),
        _ => None,
    }
}

fn decoder(bytes: &[u8], format: ImageFormat) -> Result<impl ImageDecoder, PictureError> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_image_width = Some(LONGEST_SIDE);
    limits.max_image_height = Some(LONGEST_SIDE);
    limits.max_alloc = Some(MOST_MEMORY);
    reader.limits(limits);
    Ok(reader.into_decoder()?)
}

/// The number of pixels, from the first bytes alone; refused when they are too many.
pub(crate) fn pixels(bytes: &[u8], format: ImageFormat) -> Result<u64, PictureError> {
    count(&decoder(bytes, format)?)
}

fn count(decoder: &impl ImageDecoder) -> Result<u64, PictureError> {
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    // Decoders check what they need beside the pixels, not the pixels.
    let fits = pixels <= u64::from(MOST_PIXELS) && decoder.total_bytes() <= MOST_MEMORY;
    if fits { Ok(pixels) } else { Err(PictureError::TooLarge) }
}

/// Reads a picture whole and makes what is shown of it. Takes its time: not for a thread that serves others.
pub(crate) fn prepare(bytes: &[u8], format: ImageFormat) -> Result<Prepared, PictureError> {
    let mut decoder = decoder(bytes, format)?;
    count(&decoder)?;
    let orientation = decoder.orientation()?;
    let profile = decoder.icc_profile()?;
    let mut image = DynamicImage::from_decoder(decoder)?;
    // Turning would leave one picture of many.
    let turned = orientation != Orientation::NoTransforms && !webp::is_animated(bytes);
    let shown = if turned {
        image.apply_orientation(orientation);
        encode(&image, format, profile)?
    } else {
        strip(bytes, format).ok_or(PictureError::Broken(None))?
    };
    let picture = Picture { width: image.width(), height: image.height() };
    let small =
        if picture.width.max(picture.height) > THUMBNAIL { image.thumbnail(THUMBNAIL, THUMBNAIL) } else { image };
    let (thumbnail, thumbnail_type) = thumbnail(&small)?;
    Ok(Prepared { shown, picture, thumbnail, thumbnail_type })
}

/// The bytes of a picture without metadata; `None` when they make no sense.
fn strip(bytes: &[u8], format: ImageFormat) -> Option<Vec<u8>> {
    match format {
        ImageFormat::Jpeg => jpeg::strip(bytes),
        ImageFormat::Png => png::strip(bytes),
        ImageFormat::WebP => webp::strip(bytes),
        ImageFormat::Gif => gif::strip(bytes),
        _ => None,
    }
}

fn encode(image: &DynamicImage, format: ImageFormat, profile: Option<Vec<u8>>) -> Result<Vec<u8>, PictureError> {
    let mut bytes = Vec::new();
    match format {
        ImageFormat::Jpeg => {
            let mut encoder = JpegEncoder::new_with_quality(&mut bytes, TURNED_QUALITY);
            colours(&mut encoder, profile);
            match image {
                DynamicImage::ImageLuma8(_) => encoder.encode_image(image)?,
                _ => encoder.encode_image(&image.to_rgb8())?,
            }
        }
        ImageFormat::WebP => {
            let mut encoder = WebPEncoder::new_lossless(&mut bytes);
            colours(&mut encoder, profile);
            let image = image.to_rgba8();
            encoder.write_image(&image, image.width(), image.height(), image::ExtendedColorType::Rgba8)?;
        }
        _ => {
            let mut encoder = PngEncoder::new(&mut bytes);
            colours(&mut encoder, profile);
            image.write_with_encoder(encoder)?;
        }
    }
    Ok(bytes)
}

/// Keeps the meaning of the colours where the format can.
fn colours(encoder: &mut impl ImageEncoder, profile: Option<Vec<u8>>) {
    if let Some(profile) = profile
        && encoder.set_icc_profile(profile).is_err()
    {
        tracing::debug!("a colour profile was left out");
    }
}

fn thumbnail(small: &DynamicImage) -> Result<(Vec<u8>, &'static str), PictureError> {
    let mut bytes = Vec::new();
    if small.color().has_alpha() && small.to_rgba8().pixels().any(|pixel| pixel.0[3] < u8::MAX) {
        DynamicImage::ImageRgba8(small.to_rgba8()).write_with_encoder(PngEncoder::new(&mut bytes))?;
        return Ok((bytes, "image/png"));
    }
    JpegEncoder::new_with_quality(&mut bytes, THUMBNAIL_QUALITY).encode_image(&small.to_rgb8())?;
    Ok((bytes, "image/jpeg"))
}

#[cfg(test)]
mod tests;
