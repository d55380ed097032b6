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
const MOST_PIXELS: u32 = 40_000_000;
/// Longest side of a picture in pixels.
const LONGEST_SIDE: u32 = 20_000;
/// Bytes of memory that reading one picture may take at most, and turning it, beside its file.
pub(crate) const MOST_MEMORY: u64 = 256 * 1024 * 1024;
/// What the PNG decoder may take beside the pixels: for a line and for the colour profile, which is compressed.
const MOST_PNG_MEMORY: u64 = 8 * 1024 * 1024;
/// What the GIF decoder may take beside the pixels: for a frame that is not as large as the picture.
const MOST_GIF_MEMORY: u64 = 64 * 1024 * 1024;
const THUMBNAIL_QUALITY: u8 = 80;
/// Of a picture that had to be turned; high, because it was compressed before.
const TURNED_QUALITY: u8 = 92;

/// A picture that can't be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PictureError {
    /// Its bytes make no sense.
    #[error("the picture can't be read; save it anew, or put it into an archive to send it as it is")]
    Broken(#[source] Option<image::ImageError>),
    /// It would take too much memory.
    #[error(
        "a picture has at most {MOST_PIXELS} pixels and {LONGEST_SIDE} on a side, fewer if it has to be turned or has deep \
             colours"
    )]
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

/// The format of a file that begins like a picture, whatever it is called.
pub(crate) fn format_in(bytes: &[u8]) -> Option<ImageFormat> {
    image::guess_format(bytes).ok().filter(|format| format_of(format.to_mime_type()).is_some())
}

fn decoder(bytes: &[u8], format: ImageFormat) -> Result<impl ImageDecoder, PictureError> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_image_width = Some(LONGEST_SIDE);
    limits.max_image_height = Some(LONGEST_SIDE);
    limits.max_alloc = Some(if format == ImageFormat::Png { MOST_PNG_MEMORY } else { MOST_GIF_MEMORY });
    reader.limits(limits);
    Ok(reader.into_decoder()?)
}

/// Bytes of memory that [`prepare`] takes beside the file, from the first bytes alone; refused when they are too many.
pub(crate) fn memory(bytes: &[u8], format: ImageFormat) -> Result<u64, PictureError> {
    let mut decoder = decoder(bytes, format)?;
    let orientation = decoder.orientation()?;
    needed(&decoder, bytes, format, is_turned(bytes, orientation))
}

/// An upper bound: what the decoder takes, and then, if the picture has to be turned, that and writing it anew.
fn needed(decoder: &impl ImageDecoder, bytes: &[u8], format: ImageFormat, turned: bool) -> Result<u64, PictureError> {
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    let decoded = decoder.total_bytes();
    let channels = u64::from(decoder.color_type().channel_count());
    let eight_bit = pixels * channels;
    let beside = match format {
        // Decoders keep all coefficients, two bytes each, until the last part of a picture that comes in parts.
        ImageFormat::Jpeg => jpeg::coefficients(bytes, pixels).unwrap_or(4 * pixels) * 2,
        ImageFormat::WebP => webp::frame_memory(bytes, pixels),
        ImageFormat::Gif => MOST_GIF_MEMORY,
        _ => MOST_PNG_MEMORY,
    };
    let turning = match format {
        _ if !turned => 0,
        ImageFormat::Jpeg => 2 * eight_bit,
        // Its encoder takes a copy of four bytes a pixel beside.
        ImageFormat::WebP => eight_bit + 3 * pixels * 4,
        // What can't be compressed is there twice.
        _ => 3 * eight_bit + MOST_PNG_MEMORY,
    };
    let eight_bit_copy = if turned && decoded > eight_bit { eight_bit } else { 0 };
    let needed = (decoded + beside).max(decoded + eight_bit_copy).max(turning);
    let fits = pixels <= u64::from(MOST_PIXELS) && needed <= MOST_MEMORY;
    if fits { Ok(needed) } else { Err(PictureError::TooLarge) }
}

/// Turning would leave one picture of many.
fn is_turned(bytes: &[u8], orientation: Orientation) -> bool {
    orientation != Orientation::NoTransforms && !webp::is_animated(bytes)
}

/// Reads a picture whole and makes what is shown of it. Takes its time: not for a thread that serves others.
pub(crate) fn prepare(bytes: &[u8], format: ImageFormat) -> Result<Prepared, PictureError> {
    let mut decoder = decoder(bytes, format)?;
    let orientation = decoder.orientation()?;
    let turned = is_turned(bytes, orientation);
    // Decoders check what they need beside the pixels, not the pixels.
    needed(&decoder, bytes, format, turned)?;
    let profile = if turned { decoder.icc_profile()? } else { None };
    let mut image = DynamicImage::from_decoder(decoder)?;
    let shown = if turned {
        image = eight_bit(image);
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

/// Turning takes a copy of the picture, so it is made small before.
fn eight_bit(image: DynamicImage) -> DynamicImage {
    match image {
        DynamicImage::ImageLuma16(_) => image.into_luma8().into(),
        DynamicImage::ImageLumaA16(_) => image.into_luma_alpha8().into(),
        DynamicImage::ImageRgb16(_) => image.into_rgb8().into(),
        DynamicImage::ImageRgba16(_) => image.into_rgba8().into(),
        image => image,
    }
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

/// Writes a picture of eight bits, straight from its pixels.
fn encode(image: &DynamicImage, format: ImageFormat, profile: Option<Vec<u8>>) -> Result<Vec<u8>, PictureError> {
    fn write(
        image: &DynamicImage,
        mut encoder: impl ImageEncoder,
        profile: Option<Vec<u8>>,
    ) -> Result<(), image::ImageError> {
        colours(&mut encoder, profile);
        image.write_with_encoder(encoder)
    }
    let mut bytes = Vec::new();
    match format {
        ImageFormat::Jpeg => write(image, JpegEncoder::new_with_quality(&mut bytes, TURNED_QUALITY), profile)?,
        ImageFormat::WebP => write(image, WebPEncoder::new_lossless(&mut bytes), profile)?,
        _ => write(image, PngEncoder::new(&mut bytes), profile)?,
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
pub(crate) mod tests;
