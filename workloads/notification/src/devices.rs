//! The routes for devices that want pushes.

use axum::{extract::State, http::StatusCode};
use sentinel_domain::{
    ports::{StoreError, UnfitAddress},
    push::{Device, DeviceId, PushAddress},
    time::Timestamp,
};
use sentinel_http::{
    auth::AuthUser,
    describe::{Any, NeedsToken, TakesJson, TakesParameters},
    extract::{Json, Path},
    problem::{Code, Problem, ProblemBody},
    rate::Action,
    tokens::TokenError,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::App;

/// Through whom a device gets pushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Platform {
    /// Firebase Cloud Messaging, with `token`.
    Fcm,
    /// A browser's push service, with `subscription`.
    WebPush,
}

/// A device that wants pushes.
#[derive(Deserialize, ToSchema)]
pub(crate) struct DeviceView {
    /// The client's own name for its installation: letters, digits and `-_.:~`.
    #[schema(min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9._:~-]+$")]
    device_id: String,
    /// Through whom.
    platform: Platform,
    /// The registration token of FCM.
    #[serde(default)]
    #[schema(max_length = 4096)]
    token: Option<String>,
    /// What the browser's `PushSubscription` is as JSON.
    #[serde(default)]
    subscription: Option<SubscriptionView>,
}

/// A browser's subscription.
#[derive(Deserialize, ToSchema)]
pub(crate) struct SubscriptionView {
    /// Where the push service takes messages.
    #[schema(max_length = 4096)]
    endpoint: String,
    /// The browser's keys.
    keys: SubscriptionKeys,
}

/// The keys of a browser's subscription.
#[derive(Deserialize, ToSchema)]
pub(crate) struct SubscriptionKeys {
    /// Its public key, 65 bytes in base64url.
    p256dh: String,
    /// Its authentication secret, 16 bytes in base64url.
    auth: String,
}

/// What a browser subscribes with.
#[derive(Serialize, ToSchema)]
pub(crate) struct VapidView {
    /// The `applicationServerKey`, in base64url; `null` when Web Push is not offered here.
    public_key: Option<String>,
}

impl DeviceView {
    fn address(self) -> Result<PushAddress, Problem> {
        let missing = |field| Problem::invalid(field, Code::Missing, format!("{field} is needed for this platform"));
        match self.platform {
            Platform::Fcm => Ok(PushAddress::Fcm { token: self.token.ok_or_else(|| missing("token"))? }),
            Platform::WebPush => {
                let SubscriptionView { endpoint, keys } = self.subscription.ok_or_else(|| missing("subscription"))?;
                Ok(PushAddress::WebPush { endpoint, p256dh: keys.p256dh, auth: keys.auth })
            }
        }
    }
}

fn device_id(text: &str) -> Result<DeviceId, Problem> {
    DeviceId::parse(text).map_err(|error| Problem::invalid("device_id", Code::Malformed, format!("device_id {error}")))
}

fn unfit(error: UnfitAddress) -> Problem {
    match error {
        UnfitAddress::NotOffered(_) => Problem::invalid("platform", Code::NotOffered, error.to_string()),
        UnfitAddress::Endpoint => {
            Problem::invalid("subscription.endpoint", Code::EndpointNotAllowed, error.to_string())
        }
        UnfitAddress::Malformed { field, .. } => {
            let path = match field {
                "p256dh" | "auth" => format!("subscription.keys.{field}"),
                field => field.to_owned(),
            };
            Problem::invalid(path, Code::Malformed, error.to_string())
        }
    }
}

/// Register a device for pushes
///
/// In place of one with the same id. A token or subscription belongs to whoever registered it last. Nothing is pushed to
/// the device once the session that registered it has ended. A user has at most 20 devices; one more takes the place of
/// the one registered longest ago. Register again at each start of the app: tokens change.
#[utoipa::path(
    post, path = "/notifications/devices", tag = "notifications", operation_id = "register_device",
    security(("bearer" = [])), request_body = DeviceView,
    responses(
        (status = 204, description = "It gets pushes."),
        (
            status = 422,
            description = "The deployment does not push to this platform (`not_offered`) or this endpoint \
                (`endpoint_not_allowed`), or the token or subscription is not there (`missing`) or malformed (`malformed`)",
            content_type = "application/problem+json", body = ProblemBody,
        ),
        TakesJson, NeedsToken, Any,
    )
)]
pub(crate) async fn register(
    State(App(service)): State<App>,
    user: AuthUser,
    Json(device): Json<DeviceView>,
) -> Result<StatusCode, Problem> {
    let device_id = device_id(&device.device_id)?;
    let address = service.pushes.check(&device.address()?).map_err(unfit)?;
    service.limits.check(Action::Device, &user.user_id.to_string())?;
    let (user_id, session_id) = (user.user_id, user.session_id);
    let device = Device { user_id, device_id, session_id, address, registered_at: Timestamp::now() };
    service.devices.register(device).await.map_err(|error| match error {
        // The account was deleted since the token was checked, and its sessions with it.
        StoreError::NotFound => TokenError::SessionEnded.into(),
        error => Problem::from(error),
    })?;
    Ok(StatusCode::NO_CONTENT)
}

/// Remove a device
#[utoipa::path(
    delete, path = "/notifications/devices/{device_id}", tag = "notifications", operation_id = "remove_device",
    security(("bearer" = [])), params(("device_id" = String, Path, description = "Which one.")),
    responses(
        (status = 204, description = "It gets no more pushes."),
        (
            status = 422, description = "`device_id` can't be one (`malformed`)",
            content_type = "application/problem+json", body = ProblemBody,
        ),
        TakesParameters, NeedsToken, Any,
    )
)]
pub(crate) async fn remove(
    State(App(service)): State<App>,
    user: AuthUser,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id = device_id(&id)?;
    service.limits.check(Action::Device, &user.user_id.to_string())?;
    service.devices.remove(user.user_id, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The key that browsers subscribe with
#[utoipa::path(
    get, path = "/notifications/vapid", tag = "notifications", operation_id = "vapid_key",
    security(("bearer" = [])),
    responses((status = 200, description = "The key", body = VapidView), NeedsToken, Any)
)]
pub(crate) async fn vapid(State(App(service)): State<App>, _: AuthUser) -> Json<VapidView> {
    Json(VapidView { public_key: service.pushes.web_push_key() })
}
