//! The HTTP routes. Several paths of clients of the seed lead to the same.

use std::sync::Arc;

use axum::extract::{FromRef, State};
use sentinel_domain::ids::UserId;
use sentinel_http::{
    auth::{Asker, AuthUser},
    describe::{Any, MayBeMissing, NeedsToken, TakesJson, TakesParameters},
    extract::{Json, Query},
    problem::{Problem, ProblemBody},
    tokens::Tokens,
};
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    service::PresenceService,
    views::{ActiveUser, ActivityView, ById, ByName, LastActiveView},
};

#[derive(Clone)]
struct App(Arc<PresenceService>);

impl FromRef<App> for Arc<Tokens> {
    fn from_ref(app: &App) -> Self {
        app.0.tokens.clone()
    }
}

/// The routes with their description.
pub fn router(service: Arc<PresenceService>) -> OpenApiRouter {
    described().with_state(App(service))
}

/// The description of the routes.
pub fn openapi() -> OpenApi {
    sentinel_http::describe::merged(described().into_openapi())
}

fn described() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(activity))
        .routes(routes!(activity_alias))
        .routes(routes!(update_by_get, update_by_post))
        .routes(routes!(update))
        .routes(routes!(last_active))
        .routes(routes!(last_active_alias))
}

/// How present a user is
///
/// Several devices count as the most present of them. With a block between the two, a user looks as if never there.
#[utoipa::path(
    get, path = "/users/user_activity", tag = "presence", operation_id = "user_activity", security(("bearer" = [])),
    params(ByName),
    responses(
        (status = 200, description = "The user's presence", body = ActivityView),
        MayBeMissing, TakesParameters, NeedsToken, Any,
    )
)]
async fn activity(
    State(App(service)): State<App>,
    Asker(user): Asker,
    Query(asked): Query<ByName>,
) -> Result<Json<ActivityView>, Problem> {
    let (profile, presence) = service.by_name(user.user_id, &asked.username).await?;
    Ok(Json(ActivityView::new(&profile, &presence)))
}

/// The same as `GET /users/user_activity`
#[utoipa::path(
    get, path = "/user/user_activity", tag = "presence", operation_id = "user_activity_alias",
    security(("bearer" = [])), params(ByName),
    responses(
        (status = 200, description = "The user's presence", body = ActivityView),
        MayBeMissing, TakesParameters, NeedsToken, Any,
    )
)]
async fn activity_alias(app: State<App>, user: Asker, query: Query<ByName>) -> Result<Json<ActivityView>, Problem> {
    activity(app, user, query).await
}

/// When a user was last active
///
/// With a block between the two, that is unknown.
#[utoipa::path(
    get, path = "/users/last_active", tag = "presence", operation_id = "last_active", security(("bearer" = [])),
    params(ById),
    responses(
        (status = 200, description = "When that was", body = LastActiveView),
        MayBeMissing, TakesParameters, NeedsToken, Any,
    )
)]
async fn last_active(
    State(App(service)): State<App>,
    Asker(user): Asker,
    Query(asked): Query<ById>,
) -> Result<Json<LastActiveView>, Problem> {
    let presence = service.by_id(user.user_id, asked.user_id).await?;
    Ok(Json(LastActiveView::new(presence.user_id, presence.last_active)))
}

/// The same as `GET /users/last_active`
#[utoipa::path(
    get, path = "/user/last_active", tag = "presence", operation_id = "last_active_alias", security(("bearer" = [])),
    params(ById),
    responses(
        (status = 200, description = "When that was", body = LastActiveView),
        MayBeMissing, TakesParameters, NeedsToken, Any,
    )
)]
async fn last_active_alias(app: State<App>, user: Asker, query: Query<ById>) -> Result<Json<LastActiveView>, Problem> {
    last_active(app, user, query).await
}

/// Say that the caller is active now
///
/// For clients without a socket, several times a minute: 45 seconds after the last time the caller looks offline. One with a
/// socket sends `heartbeat`.
#[utoipa::path(
    post, path = "/update-last-active", tag = "presence", operation_id = "update_last_active",
    security(("bearer" = [])), request_body = ActiveUser,
    responses(
        (status = 200, description = "It is known", body = LastActiveView),
        (
            status = 403, description = "`userId` is not the caller (`forbidden`)",
            content_type = "application/problem+json", body = ProblemBody,
        ),
        TakesJson, NeedsToken, Any,
    )
)]
async fn update(
    State(App(service)): State<App>,
    user: AuthUser,
    Json(who): Json<ActiveUser>,
) -> Result<Json<LastActiveView>, Problem> {
    active_now(&service, &user, who.user_id).await
}

/// The same as `POST /update-last-active`
#[utoipa::path(
    post, path = "/users/update-last-active", tag = "presence", operation_id = "update_last_active_by_id",
    security(("bearer" = [])), params(ById),
    responses(
        (status = 200, description = "It is known", body = LastActiveView),
        (
            status = 403, description = "`user_id` is not the caller (`forbidden`)",
            content_type = "application/problem+json", body = ProblemBody,
        ),
        TakesParameters, NeedsToken, Any,
    )
)]
async fn update_by_post(
    State(App(service)): State<App>,
    user: AuthUser,
    Query(who): Query<ById>,
) -> Result<Json<LastActiveView>, Problem> {
    active_now(&service, &user, who.user_id).await
}

/// The same as `POST /update-last-active`, for clients of the seed
#[utoipa::path(
    get, path = "/users/update-last-active", tag = "presence", operation_id = "update_last_active_by_get",
    security(("bearer" = [])), params(ById),
    responses(
        (status = 200, description = "It is known", body = LastActiveView),
        (
            status = 403, description = "`user_id` is not the caller (`forbidden`)",
            content_type = "application/problem+json", body = ProblemBody,
        ),
        TakesParameters, NeedsToken, Any,
    )
)]
async fn update_by_get(app: State<App>, user: AuthUser, query: Query<ById>) -> Result<Json<LastActiveView>, Problem> {
    update_by_post(app, user, query).await
}

async fn active_now(
    service: &PresenceService,
    caller: &AuthUser,
    who: UserId,
) -> Result<Json<LastActiveView>, Problem> {
    let at = service.update(caller, who).await?;
    Ok(Json(LastActiveView::new(caller.user_id, Some(at))))
}
