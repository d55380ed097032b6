//! Whom a request says that it is from. The caller is whom the token names, whatever the request says; one that names
//! another is mistaken, and is refused rather than done in the caller's name.

use sentinel_domain::ids::UserId;
use serde::Deserialize;

use super::{parse_json, read_query};
use crate::problem::Problem;

/// Left in a request by the extractor of its caller, for whatever reads the body.
#[derive(Clone, Copy)]
pub(crate) struct Caller(pub UserId);

/// Under which names clients say who they are.
#[derive(Deserialize)]
struct Speaker {
    #[serde(default)]
    user_id: Option<UserId>,
    #[serde(default)]
    sender_id: Option<UserId>,
}

impl Speaker {
    fn must_be(&self, caller: UserId) -> Result<(), Problem> {
        for (name, said) in [("user_id", self.user_id), ("sender_id", self.sender_id)] {
            if said.is_some_and(|said| said != caller) {
                return Err(Problem::forbidden(format!("{name} is not the caller; give your own id or none")));
            }
        }
        Ok(())
    }
}

/// Refuses a JSON object that names another than its caller as `user_id` or `sender_id`.
pub fn json_is_of(caller: UserId, object: &[u8]) -> Result<(), Problem> {
    parse_json::<Speaker>(object)?.must_be(caller)
}

/// The same of a query.
pub(crate) fn query_is_of(caller: UserId, query: Option<&str>) -> Result<(), Problem> {
    query.map_or(Ok(()), |query| read_query::<Speaker>(query)?.must_be(caller))
}
