//! Rows as values of the domain.

use sentinel_domain::{
    account::{Account, Email, Profile, Standing, Username},
    ids::{SessionId, UserId},
    ports::Credentials,
    session::Session,
    time::Timestamp,
};
use sqlx::{Error, Row, postgres::PgRow};

/// A value that no writer of this schema stores.
pub(super) fn malformed(column: &'static str) -> Error {
    Error::Decode(format!("a malformed value in column {column}").into())
}

fn username(row: &PgRow) -> Result<Username, Error> {
    Username::parse(row.try_get("username")?).map_err(|_| malformed("username"))
}

/// A row of `id, username, email, display_name, avatar_url, created_at, email_verified_at`.
#[allow(clippy::needless_pass_by_value)] // as queries map their rows
pub(super) fn account(row: PgRow) -> Result<Account, Error> {
    Ok(Account {
        id: UserId(row.try_get("id")?),
        username: username(&row)?,
        email: Email::kept(row.try_get("email")?),
        email_verified: row.try_get::<Option<i64>, _>("email_verified_at")?.is_some(),
        display_name: row.try_get("display_name")?,
        avatar_url: row.try_get("avatar_url")?,
        created_at: Timestamp(row.try_get("created_at")?),
    })
}

/// The same with `password_hash, admin, disabled_at`.
pub(super) fn credentials(row: PgRow) -> Result<Credentials, Error> {
    let (password_hash, standing) = (row.try_get("password_hash")?, standing(&row)?);
    Ok(Credentials { account: account(row)?, password_hash, standing })
}

/// `admin, disabled_at` of a row.
pub(super) fn standing(row: &PgRow) -> Result<Standing, Error> {
    let disabled_at: Option<i64> = row.try_get("disabled_at")?;
    Ok(Standing { admin: row.try_get("admin")?, disabled_at: disabled_at.map(Timestamp) })
}

/// A row of `id, username, display_name, avatar_url`.
#[allow(clippy::needless_pass_by_value)] // as queries map their rows
pub(super) fn profile(row: PgRow) -> Result<Profile, Error> {
    Ok(Profile {
        user_id: UserId(row.try_get("id")?),
        username: username(&row)?,
        display_name: row.try_get("display_name")?,
        avatar_url: row.try_get("avatar_url")?,
    })
}

/// The same with when it was blocked.
pub(super) fn block(row: PgRow) -> Result<(Profile, Timestamp), Error> {
    let at = Timestamp(row.try_get("blocked_at")?);
    Ok((profile(row)?, at))
}

/// A row of `id, user_id, device, created_at, refreshed_at, generation, earlier_rotations`.
#[allow(clippy::needless_pass_by_value)] // as queries map their rows
pub(super) fn session(row: PgRow) -> Result<Session, Error> {
    Ok(Session {
        id: SessionId(row.try_get("id")?),
        user_id: UserId(row.try_get("user_id")?),
        device: row.try_get("device")?,
        created_at: Timestamp(row.try_get("created_at")?),
        refreshed_at: Timestamp(row.try_get("refreshed_at")?),
        generation: u32::try_from(row.try_get::<i64, _>("generation")?).map_err(|_| malformed("generation"))?,
        earlier_rotations: row.try_get::<Vec<i64>, _>("earlier_rotations")?.into_iter().map(Timestamp).collect(),
    })
}
