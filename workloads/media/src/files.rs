//! Serves the links to files of this process: whoever has a link may put or get one object.

use std::{
    io::{Read as _, Seek as _, SeekFrom},
    sync::Arc,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use sentinel_domain::{
    ids::MediaId,
    media::{BlobKey, BlobPart, FileLink, Media, disposition},
    ports::{BlobFiles, StoreError},
    time::Timestamp,
};
use sentinel_http::{
    client::ClientAddress,
    conditional,
    extract::{Path, Query},
    problem::{Code, Problem},
};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use crate::{
    range::{Part, part},
    receiving::{Pace, Receiving},
    service::MediaService,
};

/// Bytes that are read from a file at once.
const CHUNK: usize = 128 * 1024;
/// What a page may do that somebody opens from a link: nothing.
const POLICY: &str = "default-src 'none'; sandbox; frame-ancestors 'none'";
/// A link is good for about as long, and what it leads to never changes.
const CACHE: &str = "private, max-age=3600, immutable";

#[derive(Clone)]
struct Routes {
    service: Arc<MediaService>,
    files: Arc<dyn BlobFiles>,
    receiving: Receiving,
    pace: Pace,
}

/// The routes behind the links, if the blobs are files of this process. They are no part of the description: links are
/// used as they are.
pub fn files_router(service: &Arc<MediaService>) -> Router {
    files_router_at(service, Pace::default())
}

/// The same where bytes may come this slowly.
pub(crate) fn files_router_at(service: &Arc<MediaService>, pace: Pace) -> Router {
    let Some(files) = service.files.clone() else { return Router::new() };
    Router::new().route("/media/files/{id}/{part}", get(send).put(receive)).with_state(Routes {
        service: service.clone(),
        files,
        receiving: Receiving::default(),
        pace,
    })
}

/// What a link says beside its object.
#[derive(Deserialize)]
struct Terms {
    expires: i64,
    size: Option<u64>,
    signature: String,
}

impl Routes {
    fn good(&self, (id, part): (MediaId, String), terms: &Terms) -> Result<FileLink, Problem> {
        let part = part.parse::<BlobPart>().map_err(|()| Problem::not_found())?;
        let link = FileLink { key: BlobKey::new(id, part), size: terms.size, expires: terms.expires };
        if self.files.is_good(&link, &terms.signature, Timestamp::now()) {
            return Ok(link);
        }
        let detail = "the link is wrong or its time is over; ask for a new one";
        Err(Problem::new(StatusCode::FORBIDDEN, Code::InvalidLink, detail))
    }

    /// A file whose bytes may still be put.
    async fn awaited(&self, id: MediaId) -> Result<Media, Problem> {
        let media = self.service.media.media(id).await?;
        media.filter(|media| media.can_be_completed(Timestamp::now())).ok_or_else(Problem::not_found)
    }
}

async fn receive(
    State(files): State<Routes>,
    Path(path): Path<(MediaId, String)>,
    Query(terms): Query<Terms>,
    address: ClientAddress,
    request: Request,
) -> Result<StatusCode, Problem> {
    let link = files.good(path, &terms)?;
    let size = link.size.ok_or_else(Problem::not_found)?;
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if announced.is_some_and(|announced: u64| announced != size) {
        return Err(wrong_size(size));
    }
    let owner = files.awaited(link.key.media).await?.owner;
    let _place = files.receiving.begin(link.key, owner, address)?;
    let mut writer = files.files.begin(link.key).await?;
    let mut body = request.into_body().into_data_stream();
    let (begun, mut received) = (Instant::now(), 0);
    loop {
        let until = begun + files.pace.until(begun.elapsed(), received);
        let next = timeout_at(until, body.next()).await.map_err(|_| too_slow())?;
        let Some(chunk) = next else { break };
        let chunk = chunk.map_err(|_| {
            Problem::new(StatusCode::BAD_REQUEST, Code::UnreadableBody, "the body broke off; send all of it again")
        })?;
        received += chunk.len() as u64;
        if received > size {
            return Err(wrong_size(size));
        }
        writer.write(&chunk).await?;
    }
    if received != size {
        return Err(wrong_size(size));
    }
    // Who was refused or deleted meanwhile leaves nothing.
    files.awaited(link.key.media).await?;
    writer.finish().await?;
    Ok(StatusCode::OK)
}

fn too_slow() -> Problem {
    let detail = "the bytes came too slowly, so others got the place; send them all again";
    Problem::new(StatusCode::REQUEST_TIMEOUT, Code::UploadTooSlow, detail)
}

fn wrong_size(size: u64) -> Problem {
    let detail = format!("the link takes exactly {size} bytes; send those, or begin anew with the right size");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, Code::WrongSize, detail)
}

async fn send(
    State(files): State<Routes>,
    Path(path): Path<(MediaId, String)>,
    Query(terms): Query<Terms>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let link = files.good(path, &terms)?;
    if link.size.is_some() {
        return Err(Problem::not_found());
    }
    let media = files.service.media.media(link.key.media).await?.ok_or(StoreError::NotFound)?;
    if media.shown().is_none() {
        return Err(Problem::not_found());
    }
    // An object never changes.
    let tag = format!("\"{}\"", link.key);
    if conditional::is_known(&headers, &tag) {
        let known = [(header::ETAG, tag.as_str()), (header::CACHE_CONTROL, CACHE)];
        return Ok((StatusCode::NOT_MODIFIED, known).into_response());
    }
    let mut file = files.files.open(link.key).await?;
    let (kind, disposition) = match link.key.part {
        BlobPart::Thumbnail => (thumbnail_type(&mut file)?, "inline".to_owned()),
        _ => (media.content_type.served().to_owned(), disposition(&media)),
    };
    let size = file.metadata().map_err(StoreError::unavailable)?.len();
    let asked = headers.get(header::RANGE).filter(|_| conditional::takes_part_of(&headers, &tag));
    let asked = asked.and_then(|value| value.to_str().ok());
    let (status, first, length) = match part(asked, size) {
        Part::Whole => (StatusCode::OK, 0, size),
        Part::Some { first, last } => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
        Part::None => {
            let detail = format!("the file has {size} bytes; ask for a range of these");
            let problem = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, Code::InvalidRange, detail);
            return Err(problem.with_header(header::CONTENT_RANGE, format!("bytes */{size}")));
        }
    };
    file.seek(SeekFrom::Start(first)).map_err(StoreError::unavailable)?;
    let mut response = (status, Body::from_stream(contents(file, length))).into_response();
    let answer = response.headers_mut();
    let told = [(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, disposition), (header::ETAG, tag)];
    for (name, value) in told {
        answer.insert(name, HeaderValue::from_str(&value).map_err(|_| Problem::internal())?);
    }
    answer.insert(header::CONTENT_LENGTH, length.into());
    answer.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    answer.insert(header::CACHE_CONTROL, HeaderValue::from_static(CACHE));
    answer.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {first}-{}/{size}", first + length - 1);
        answer.insert(header::CONTENT_RANGE, HeaderValue::from_str(&range).map_err(|_| Problem::internal())?);
    }
    Ok(response)
}

/// A thumbnail is one of the two that [`crate::picture`] makes.
fn thumbnail_type(file: &mut std::fs::File) -> Result<String, StoreError> {
    let mut first = [0; 1];
    file.read_exact(&mut first).map_err(StoreError::unavailable)?;
    Ok(if first[0] == 0xff { "image/jpeg" } else { "image/png" }.to_owned())
}

/// The next `length` bytes of a file, read on threads that may wait.
fn contents(file: std::fs::File, length: u64) -> impl futures::Stream<Item = std::io::Result<Bytes>> {
    stream::try_unfold((file, length), |(mut file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let read = tokio::task::spawn_blocking(move || {
            let mut chunk = vec![0; CHUNK.min(usize::try_from(left).unwrap_or(CHUNK))];
            file.read_exact(&mut chunk)?;
            Ok::<_, std::io::Error>((file, chunk))
        });
        let (file, chunk) = read.await.map_err(std::io::Error::other)??;
        let left = left - chunk.len() as u64;
        Ok(Some((Bytes::from(chunk), (file, left))))
    })
}
