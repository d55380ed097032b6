//! The HTTP routes.

use std::sync::Arc;

use axum::{
    extract::{FromRef, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use sentinel_domain::{ids::MediaId, media::BlobPart, time::Timestamp};
use sentinel_http::{
    auth::AuthUser,
    describe::{Any, MayBeMissing, NeedsToken, TakesJson, TakesParameters},
    extract::{Json, Path, Query},
    problem::{Code, Problem, ProblemBody},
    rate::Action,
    tokens::Tokens,
};
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    base::BaseUrl,
    service::MediaService,
    views::{AnnouncedUpload, BegunUpload, CompletedView, DetailsView, FilesView, WantedFiles},
};

/// Files that may be asked for at once.
const FILES: usize = 100;
/// So many of them count as a request.
const FILES_OF_REQUEST: usize = 10;

#[derive(Clone)]
struct App(Arc<MediaService>);

impl FromRef<App> for Arc<Tokens> {
    fn from_ref(app: &App) -> Self {
        app.0.tokens.clone()
    }
}

/// The routes with their description.
pub fn router(service: Arc<MediaService>) -> OpenApiRouter {
    described().with_state(App(service))
}

/// The description of the routes.
pub fn openapi() -> OpenApi {
    sentinel_http::describe::merged(described().into_openapi())
}

fn described() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(begin))
        .routes(routes!(complete))
        .routes(routes!(give_up))
        .routes(routes!(details))
        .routes(routes!(all_details))
        .routes(routes!(file))
        .routes(routes!(thumbnail))
}

/// Begin an upload
///
/// Send the bytes to `upload.url` with `upload.method` and `upload.headers`, without a token and within the hour. Then
/// complete the upload, and name its id in `attachments` of a message, within the day.
///
/// Where the platform takes the bytes itself, the link answers 200, or a problem: 413 `wrong_size`, 408 `upload_too_slow`, 400
/// `unreadable_body`, 409 `upload_running`, 429 and 503 `too_many_uploads` (send all of them again), 403 `invalid_link` and 404
/// `not_found` (begin anew). Links to files answer 403 `invalid_link`, 404 `not_found` and 416 `invalid_range`. Links of an object
/// store answer as that does.
#[utoipa::path(
    post, path = "/media/uploads", tag = "media", operation_id = "begin_upload",
    security(("bearer" = [])), request_body = AnnouncedUpload,
    responses(
        (status = 201, description = "Where to put the bytes", body = BegunUpload),
        (
            status = 400, description = "The `Host` header names no host (`invalid_host`)",
            content_type = "application/problem+json", body = ProblemBody,
        ),
        (
            status = 403, description = "The caller's files take too much room (`quota_exceeded`)",
            content_type = "application/problem+json", body = ProblemBody,
        ),
        (
            status = 413, description = "The file is too large (`file_too_large`)",
            content_type = "application/problem+json", body = ProblemBody,
        ),
        (
            status = 422,
            description = "What no file can have (`invalid_filename`, `invalid_content_type`, `empty_file`, `invalid_sha256`)",
            content_type = "application/problem+json", body = ProblemBody,
        ),
        TakesJson, MayBeMissing, NeedsToken, Any,
    )
)]
async fn begin(
    State(App(service)): State<App>,
    user: AuthUser,
    base: BaseUrl,
    Json(announced): Json<AnnouncedUpload>,
) -> Result<Response, Problem> {
    let begun = service.begin(user.user_id, announced, &base).await?;
    Ok((StatusCode::CREATED, Json(begun)).into_response())
}

/// Complete an upload
///
/// Checks size, hash and content, takes metadata out of pictures (JPEG, PNG, WebP and GIF, whatever they were announced as),
/// and makes a small one. A repeat answers the same. After a refusal the bytes may be sent again to the same link.
#[utoipa::path(
    post, path = "/media/uploads/{id}/complete", tag = "media", operation_id = "complete_upload",
    security(("bearer" = [])), params(("id" = uuid::Uuid, Path, description = "The file")),
    responses(
        (status = 200, description = "The file as it is shown", body = CompletedView),
        (
            status = 409, description = "Nothing has been uploaded yet (`upload_missing`)",
            content_type = "application/problem+json", body = ProblemBody,
        ),
        (
            status = 413, description = "The picture has too many pixels, or takes too much memory (`picture_too_large`)",
            content_type = "application/problem+json", body = ProblemBody,
        ),
        (
            status = 422,
            description = "It is not what was announced (`wrong_size`, `wrong_hash`, `wrong_content_type`, `broken_picture`)",
            content_type = "application/problem+json", body = ProblemBody,
        ),
        MayBeMissing, TakesParameters, NeedsToken, Any,
    )
)]
async fn complete(
    State(App(service)): State<App>,
    user: AuthUser,
    base: BaseUrl,
    Path(id): Path<MediaId>,
) -> Result<Json<CompletedView>, Problem> {
    let (media, shown) = service.complete(user.user_id, id).await?;
    Ok(Json(service.links(&base, Timestamp::now()).of(&media, &shown)?))
}

/// Give up an upload
///
/// One that no message shows, complete or not: it takes no room of the account's any more, and its bytes are destroyed. Of
/// giving it up and sending it at the same time one comes about. A repeat answers the same for an hour.
#[utoipa::path(
    delete, path = "/media/uploads/{id}", tag = "media", operation_id = "give_up_upload",
    security(("bearer" = [])), params(("id" = uuid::Uuid, Path, description = "The file")),
    responses(
        (status = 204, description = "It is gone"),
        (
            status = 409, description = "A message shows it, or was about to (`upload_sent`): delete the message",
            content_type = "application/problem+json", body = ProblemBody,
        ),
        MayBeMissing, TakesParameters, NeedsToken, Any,
    )
)]
async fn give_up(
    State(App(service)): State<App>,
    user: AuthUser,
    Path(id): Path<MediaId>,
) -> Result<StatusCode, Problem> {
    service.give_up(user.user_id, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Details of a file
///
/// For its owner, and for the members of a chat where a message shows it.
#[utoipa::path(
    get, path = "/media/{id}/details", tag = "media", operation_id = "media_details",
    security(("bearer" = [])), params(("id" = uuid::Uuid, Path, description = "The file")),
    responses(
        (status = 200, description = "The file with links to it", body = DetailsView),
        MayBeMissing, TakesParameters, NeedsToken, Any,
    )
)]
async fn details(
    State(App(service)): State<App>,
    user: AuthUser,
    base: BaseUrl,
    Path(id): Path<MediaId>,
) -> Result<Json<DetailsView>, Problem> {
    let (media, shown) = service.visible(user.user_id, id).await?;
    Ok(Json(service.links(&base, Timestamp::now()).details(&media, &shown)?))
}

/// Details of several files
///
/// As those of one. What the caller may not see, or is not there, is left out. Each ten count as a request.
#[utoipa::path(
    get, path = "/media/details", tag = "media", operation_id = "all_media_details",
    security(("bearer" = [])), params(WantedFiles),
    responses(
        (status = 200, description = "The files with links to them", body = FilesView),
        (
            status = 422, description = "`ids` are no ids (`malformed`), or too many at once (`too_many`)",
            content_type = "application/problem+json", body = ProblemBody,
        ),
        TakesParameters, NeedsToken, Any,
    )
)]
async fn all_details(
    State(App(service)): State<App>,
    user: AuthUser,
    base: BaseUrl,
    Query(wanted): Query<WantedFiles>,
) -> Result<Response, Problem> {
    let ids = ids(&wanted.ids)?;
    // The first of them were counted as the request that this is.
    let left = match u32::try_from(ids.len().div_ceil(FILES_OF_REQUEST).saturating_sub(1)) {
        Ok(more @ 1..) => Some(service.limits.take_costly(Action::Request, &user.user_id.to_string(), more)?),
        _ => None,
    };
    let links = service.links(&base, Timestamp::now());
    let found = service.all_visible(user.user_id, &ids).await?;
    let media = found.iter().map(|(media, shown)| links.details(media, shown)).collect::<Result<_, _>>()?;
    Ok((left.map(|left| left.headers()), Json(FilesView { media })).into_response())
}

/// Each id of a list once.
fn ids(list: &str) -> Result<Vec<MediaId>, Problem> {
    let mut ids = Vec::new();
    for id in list.split(',').map(str::trim).filter(|id| !id.is_empty()) {
        let id = id
            .parse::<Uuid>()
            .map(MediaId)
            .map_err(|_| Problem::invalid("ids", Code::Malformed, "give the ids of files with commas between them"))?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    if ids.len() > FILES {
        let detail = format!("at most {FILES} files can be asked for at once; ask for the others next");
        return Err(Problem::invalid("ids", Code::TooMany, detail));
    }
    Ok(ids)
}

/// Get a file
///
/// Leads to a link that needs no token. Pictures, sound, films, PDF, plain text and archives are served under their own types,
/// everything else as an attachment of no particular type.
#[utoipa::path(
    get, path = "/media/{id}", tag = "media", operation_id = "get_media",
    security(("bearer" = [])), params(("id" = uuid::Uuid, Path, description = "The file")),
    responses(
        (status = 302, description = "Where it is", headers(("Location" = String, description = "A link to it"))),
        MayBeMissing, TakesParameters, NeedsToken, Any,
    )
)]
async fn file(
    State(App(service)): State<App>,
    user: AuthUser,
    base: BaseUrl,
    Path(id): Path<MediaId>,
) -> Result<Response, Problem> {
    let (media, _) = service.visible(user.user_id, id).await?;
    Ok(found(service.links(&base, Timestamp::now()).to(media.id, BlobPart::Shown)?))
}

/// Get a small picture of a file
///
/// At most 320 pixels on a side. Only pictures have one.
#[utoipa::path(
    get, path = "/media/{id}/thumbnail", tag = "media", operation_id = "get_media_thumbnail",
    security(("bearer" = [])), params(("id" = uuid::Uuid, Path, description = "The file")),
    responses(
        (status = 302, description = "Where it is", headers(("Location" = String, description = "A link to it"))),
        MayBeMissing, TakesParameters, NeedsToken, Any,
    )
)]
async fn thumbnail(
    State(App(service)): State<App>,
    user: AuthUser,
    base: BaseUrl,
    Path(id): Path<MediaId>,
) -> Result<Response, Problem> {
    let (media, shown) = service.visible(user.user_id, id).await?;
    if shown.picture.is_none() {
        return Err(Problem::not_found());
    }
    Ok(found(service.links(&base, Timestamp::now()).to(media.id, BlobPart::Thumbnail)?))
}

fn found(link: String) -> Response {
    (StatusCode::FOUND, [(header::LOCATION, link)]).into_response()
}
