//! Which uploads are being received: one at a time by each link, and so many in all, because the bytes of each are on the
//! disk until its end. Accounts are free, so one address does not get all places either.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::http::{StatusCode, header};
use sentinel_domain::{
    ids::UserId,
    media::{ATTACHMENTS_PER_MESSAGE, BlobKey},
};
use sentinel_http::{
    client::ClientAddress,
    problem::{Code, Problem},
};

/// Uploads that are received at once.
const MOST: usize = 64;
/// Of these, uploads of one owner: all files of a message.
const MOST_OF_OWNER: usize = ATTACHMENTS_PER_MESSAGE;
/// Of these, uploads from one address: people who share one leave half to others.
const MOST_FROM_ADDRESS: usize = MOST / 2;
/// How slowly the bytes of an upload may come.
const SLOWEST: Pace =
    Pace { pause: Duration::from_secs(20), grace: Duration::from_secs(30), bytes_per_second: 8 * 1024 };
/// Seconds after which one that was too much may be tried again.
const RETRY_AFTER: &str = "5";

/// Why an upload is not received now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Busy {
    /// By this link.
    #[error("bytes are being sent to this link already; let that end, or break it off first")]
    Link,
    /// By its owner.
    #[error("{MOST_OF_OWNER} of your uploads are being sent already; let one of them end first")]
    Owner,
    /// From its address.
    #[error(
        "{MOST_FROM_ADDRESS} uploads are being sent from your address already; try again when one of them has ended"
    )]
    Address,
    /// By everybody.
    #[error("too many uploads are being sent; try again shortly")]
    All,
}

impl From<Busy> for Problem {
    fn from(busy: Busy) -> Self {
        let detail = busy.to_string();
        match busy {
            Busy::Link => Self::new(StatusCode::CONFLICT, Code::UploadRunning, detail),
            Busy::Owner | Busy::Address => Self::new(StatusCode::TOO_MANY_REQUESTS, Code::TooManyUploads, detail)
                .with_header(header::RETRY_AFTER, RETRY_AFTER),
            Busy::All => Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::TooManyUploads, detail)
                .with_header(header::RETRY_AFTER, RETRY_AFTER),
        }
    }
}

/// How slowly bytes may come: who sends hardly any would keep the place of an upload from others as long as it likes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Longest time without any.
    pub pause: Duration,
    /// Time that an upload has however few there are.
    pub grace: Duration,
    /// Bytes each second, all in all, that give it more time.
    pub bytes_per_second: u64,
}

impl Default for Pace {
    fn default() -> Self {
        SLOWEST
    }
}

impl Pace {
    /// Until when more bytes have to come, if `received` are there `since` the upload began; counted from that beginning.
    pub(crate) fn until(self, since: Duration, received: u64) -> Duration {
        let earned = Duration::from_millis(received.saturating_mul(1000) / self.bytes_per_second.max(1));
        (since + self.pause).min(self.grace + earned)
    }
}

/// Who sends an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sender {
    owner: UserId,
    /// What rate limits count by.
    address: String,
}

/// The uploads that are being received.
#[derive(Clone, Default)]
pub(crate) struct Receiving(Arc<Mutex<HashMap<BlobKey, Sender>>>);

/// The place of an upload among those that are received; dropped, it is free.
#[derive(Debug)]
pub(crate) struct Place {
    key: BlobKey,
    among: Arc<Mutex<HashMap<BlobKey, Sender>>>,
}

impl Receiving {
    /// A place for an upload, if there is one.
    pub(crate) fn begin(&self, key: BlobKey, owner: UserId, address: ClientAddress) -> Result<Place, Busy> {
        let address = address.rate_key();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.contains_key(&key) {
            return Err(Busy::Link);
        }
        if all.values().filter(|other| other.owner == owner).count() >= MOST_OF_OWNER {
            return Err(Busy::Owner);
        }
        if all.values().filter(|other| other.address == address).count() >= MOST_FROM_ADDRESS {
            return Err(Busy::Address);
        }
        if all.len() >= MOST {
            return Err(Busy::All);
        }
        all.insert(key, Sender { owner, address });
        Ok(Place { key, among: self.0.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.among.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use sentinel_domain::{ids::MediaId, media::BlobPart};
    use uuid::Uuid;

    use super::*;

    fn key(number: usize) -> BlobKey {
        BlobKey::new(MediaId(Uuid::from_u128(number as u128)), BlobPart::Upload)
    }

    fn owner(number: usize) -> UserId {
        UserId(Uuid::from_u128(number as u128))
    }

    #[test]
    fn bytes_may_pause_but_have_to_come_at_some_pace() {
        let until = |since, received| SLOWEST.until(Duration::from_secs(since), received).as_secs();
        assert_eq!(until(0, 0), 20, "nothing comes at all");
        // A byte each 19 seconds.
        assert_eq!((until(19, 1), until(29, 2)), (30, 30));
        // Fast ones may pause for as long at any time.
        assert_eq!(until(100, 10 * 1024 * 1024), 120);
        // One that comes just as fast as it has to.
        assert_eq!(until(60, 60 * 8 * 1024), 80);
        assert_eq!(until(89, 60 * 8 * 1024), 90);
    }

    #[test]
    fn a_link_an_owner_an_address_and_all_together_have_their_bounds() {
        let receiving = Receiving::default();
        // Of a client each, but for where it is told.
        let begin = |number, owner, address: usize| {
            let address = Ipv4Addr::from_bits(u32::try_from(address).unwrap()).into();
            receiving.begin(key(number), owner, ClientAddress(address))
        };
        let first = begin(0, owner(0), 0).unwrap();
        assert_eq!(begin(0, owner(0), 0).unwrap_err(), Busy::Link);
        let mut places: Vec<Place> =
            (1..MOST_OF_OWNER).map(|number| begin(number, owner(0), number).unwrap()).collect();
        assert_eq!(begin(MOST, owner(0), MOST).unwrap_err(), Busy::Owner);
        for number in MOST_OF_OWNER..MOST_OF_OWNER + MOST_FROM_ADDRESS {
            places.push(begin(number, owner(number), MOST_OF_OWNER).unwrap());
        }
        assert_eq!(begin(MOST, owner(MOST), MOST_OF_OWNER).unwrap_err(), Busy::Address);
        for number in MOST_OF_OWNER + MOST_FROM_ADDRESS..MOST {
            places.push(begin(number, owner(number), number).unwrap());
        }
        assert_eq!(begin(MOST, owner(MOST), MOST).unwrap_err(), Busy::All);
        drop(first);
        drop(begin(0, owner(0), 0).unwrap());
        drop(begin(MOST, owner(MOST), MOST).unwrap());
        drop(places);
        assert!(receiving.0.lock().unwrap().is_empty());
    }
}
