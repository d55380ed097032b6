//! Sizes of pages, and cursors that are not ours.

use axum::http::StatusCode;
use sentinel_domain::{cursor, ids::UserId, keyring::Keyring, time::Timestamp};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::problem::{Code, Problem};

/// Entries of a page of [`Asked`] when nothing is said.
pub const DEFAULT: usize = 100;

/// What is asked of a list that has no other parameters.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Asked {
    /// Entries of a page, 1 to 100; 100 by default.
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

const LARGEST: u32 = 100;

/// The page size that was asked for.
pub fn limit(asked: Option<u32>, default: usize) -> Result<usize, Problem> {
    named_limit("limit", asked, default)
}

/// [`limit`] of another name.
pub fn named_limit(field: &'static str, asked: Option<u32>, default: usize) -> Result<usize, Problem> {
    match asked {
        None => Ok(default),
        Some(limit @ 1..=LARGEST) => Ok(limit as usize),
        Some(_) => Err(Problem::invalid(field, Code::OutOfRange, format!("{field} must be between 1 and {LARGEST}"))),
    }
}

/// The id that `cursor` of the request holds, which must have been made for this query and caller; `None` when there is
/// none.
pub fn after(
    keyring: &Keyring,
    query: &str,
    caller: UserId,
    cursor: Option<&str>,
) -> Result<Option<[u8; 16]>, Problem> {
    let Some(text) = cursor.filter(|cursor| !cursor.is_empty()) else { return Ok(None) };
    cursor::decode_id(keyring, query, caller, text).map(Some).map_err(|_| forged("cursor"))
}

/// The name that `cursor` holds, which must have been made for this query and caller.
pub fn name_in(keyring: &Keyring, query: &str, caller: UserId, cursor: &str) -> Result<String, Problem> {
    let name = cursor::decode(keyring, query, caller, cursor).map_err(|_| forged("cursor"))?;
    String::from_utf8(name).map_err(|_| forged("cursor"))
}

/// A place in a list that is ordered by time, newest first, and at one time by id.
pub type Place = (Timestamp, [u8; 16]);

/// Writes a place as a cursor of this query and caller.
pub fn place_cursor(keyring: &Keyring, query: &str, caller: UserId, (at, id): Place) -> String {
    cursor::encode(keyring, query, caller, &[at.0.to_be_bytes().as_slice(), &id].concat())
}

/// The place that `cursor` of the request holds, which must have been made for this query and caller; `None` when there is
/// none.
pub fn place(keyring: &Keyring, query: &str, caller: UserId, cursor: Option<&str>) -> Result<Option<Place>, Problem> {
    let Some(text) = cursor.filter(|cursor| !cursor.is_empty()) else { return Ok(None) };
    let payload = cursor::decode(keyring, query, caller, text).map_err(|_| forged("cursor"))?;
    let (at, id) = payload.split_first_chunk().ok_or_else(|| forged("cursor"))?;
    let id = id.try_into().map_err(|_| forged("cursor"))?;
    Ok(Some((Timestamp(i64::from_be_bytes(*at)), id)))
}

/// Cuts what was found to a page of `limit`. One more was asked for, to know whether there is a next page: gives what that
/// goes on after, if there is one.
pub fn cut<T>(found: &mut Vec<T>, limit: usize) -> Option<&T> {
    let more = found.len() > limit;
    found.truncate(limit);
    found.last().filter(|_| more)
}

/// A cursor that was not made for this query and caller.
pub fn forged(field: &'static str) -> Problem {
    let detail = "not a cursor of this query: start again without it";
    Problem::new(StatusCode::BAD_REQUEST, Code::InvalidCursor, detail).with_field(field, Code::InvalidCursor, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_where_there_is_more() {
        let page = |found: usize| {
            let mut found: Vec<usize> = (1..=found).collect();
            let last = cut(&mut found, 2).copied();
            (found, last)
        };
        assert_eq!(page(0), (vec![], None));
        assert_eq!(page(2), (vec![1, 2], None));
        assert_eq!(page(3), (vec![1, 2], Some(2)));
    }
}
