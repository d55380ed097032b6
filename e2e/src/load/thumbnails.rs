//! Thumbnails: how long it takes from the last byte of a photo until its small picture is served.

use std::{collections::HashMap, fmt, io::Cursor, time::Instant};

use anyhow::{Context as _, Result, bail};
use image::{DynamicImage, Rgb, RgbImage, codecs::jpeg::JpegEncoder};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{accounts::Account, api::Api, latency::Latencies, target::Target};

/// Pixels of a phone's photo.
const WIDTH: u32 = 4032;
const HEIGHT: u32 = 3024;
/// How cameras compress.
const QUALITY: u8 = 85;
/// What every JPEG begins with.
const JPEG: [u8; 3] = [0xff, 0xd8, 0xff];

/// The figures of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    photos: u64,
    photo_kib: usize,
    /// From the request that completes the upload to the answer to it: checked, cleaned and made small.
    completed_p50_ms: f64,
    completed_p99_ms: f64,
    /// From that request until the thumbnail is here.
    thumbnail_p50_ms: f64,
    thumbnail_p99_ms: f64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "photos                {} of {WIDTH}x{HEIGHT}, {} KiB", self.photos, self.photo_kib)?;
        writeln!(f, "upload completed      p50 {:.1} ms, p99 {:.1} ms", self.completed_p50_ms, self.completed_p99_ms)?;
        writeln!(f, "thumbnail served      p50 {:.1} ms, p99 {:.1} ms", self.thumbnail_p50_ms, self.thumbnail_p99_ms)
    }
}

#[derive(Deserialize)]
struct Begun {
    media_id: String,
    upload: Link,
}

#[derive(Deserialize)]
struct Link {
    url: String,
    headers: HashMap<String, String>,
}

#[derive(Deserialize)]
struct Completed {
    width: u32,
    height: u32,
    thumbnail_url: String,
}

/// Uploads the same photo again and again, one after the other, as these accounts in turn.
pub async fn measure(target: Target, accounts: &[Account], photos: u64) -> Result<Report> {
    let api = Api::new(target)?;
    let photo = photo(WIDTH, HEIGHT)?;
    let (mut completed, mut served) = (Latencies::new()?, Latencies::new()?);
    for (_, who) in (0..photos).zip(accounts.iter().cycle()) {
        let id = upload(&api, who, &photo).await?;
        let began = Instant::now();
        let path = format!("/media/uploads/{id}/complete");
        let shown: Completed = api.post(who, &path, &json!({}), "completing an upload").await?;
        completed.record(began.elapsed());
        let answer = api.http().get(&shown.thumbnail_url).send().await?.error_for_status().context("a thumbnail")?;
        let thumbnail = answer.bytes().await?;
        served.record(began.elapsed());
        if (shown.width, shown.height) != (WIDTH, HEIGHT) || !thumbnail.starts_with(&JPEG) {
            bail!("the photo is {}x{} and its thumbnail {} bytes", shown.width, shown.height, thumbnail.len());
        }
    }
    Ok(Report {
        photos,
        photo_kib: photo.len() / 1024,
        completed_p50_ms: completed.p50_ms(),
        completed_p99_ms: completed.p99_ms(),
        thumbnail_p50_ms: served.p50_ms(),
        thumbnail_p99_ms: served.p99_ms(),
    })
}

/// Announces a photo and puts its bytes where it is told to.
async fn upload(api: &Api, who: &Account, photo: &[u8]) -> Result<String> {
    let announced = json!({ "filename": "photo.jpg", "content_type": "image/jpeg", "size": photo.len() });
    let Begun { media_id, upload } = api.post(who, "/media/uploads", &announced, "announcing an upload").await?;
    let mut put = api.http().put(&upload.url).body(photo.to_vec());
    for (name, value) in &upload.headers {
        put = put.header(name, value);
    }
    let answer = put.send().await?.error_for_status().context("uploading")?;
    // The connection is free again only when the answer was read.
    answer.bytes().await?;
    Ok(media_id)
}

/// A JPEG that is as hard to read as a photo: soft shapes, and grain as from a camera.
fn photo(width: u32, height: u32) -> Result<Vec<u8>> {
    let mut state = 0x2545_f491_u32;
    let mut grain = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // 0 to 31.
        state >> 27
    };
    let picture = RgbImage::from_fn(width, height, |x, y| {
        let wave = |at: u32, length: u32| (at % length).abs_diff(length / 2) * 230 / length.max(1);
        let light = wave(x, 700) + grain();
        let channel = |value: u32| u8::try_from(value.min(255)).unwrap_or(u8::MAX);
        Rgb([channel(light + wave(y, 1100)), channel(light + wave(x + y, 900)), channel(light + wave(y, 500) / 2)])
    });
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::ImageRgb8(picture).write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, QUALITY))?;
    Ok(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_photo_is_a_jpeg_as_large_as_photos_are() {
        let bytes = photo(403, 302).unwrap();
        assert!(bytes.starts_with(&JPEG));
        let read = image::load_from_memory(&bytes).unwrap();
        assert_eq!((read.width(), read.height()), (403, 302));
        // A hundredth of the pixels: photos of 12 million take 2 to 6 MB.
        assert!((20_000..60_000).contains(&bytes.len()), "{} bytes", bytes.len());
    }
}
