//! Links to files that this platform itself serves: whoever has one may read or write one object for some time.

use crate::{
    ids::MediaId,
    keyring::{Keyring, TAG_BYTES},
    media::BlobKey,
    time::Timestamp,
};

const PURPOSE: &str = "media-links";

/// What a link allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLink {
    /// Which object.
    pub key: BlobKey,
    /// Writing this many bytes; `None` is reading.
    pub size: Option<u64>,
    /// The second since 1970 at which it ends.
    pub expires: i64,
}

impl FileLink {
    /// The code that makes it good, in hexadecimal digits.
    pub fn sign(&self, keyring: &Keyring) -> String {
        hex::encode(keyring.authenticate(PURPOSE, &self.bytes()))
    }

    /// Whether the code was made for this link, and its time is not over.
    pub fn is_good(&self, keyring: &Keyring, signature: &str, now: Timestamp) -> bool {
        let mut code = [0_u8; TAG_BYTES];
        now.seconds() < self.expires
            && hex::decode_to_slice(signature, &mut code).is_ok()
            && keyring.verifies(PURPOSE, &self.bytes(), &code)
    }

    fn bytes(&self) -> Vec<u8> {
        let Self { key: BlobKey { media: MediaId(media), part }, size, expires } = self;
        let mut bytes = media.as_bytes().to_vec();
        bytes.extend_from_slice(part.as_str().as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(&expires.to_be_bytes());
        if let Some(size) = size {
            bytes.extend_from_slice(&size.to_be_bytes());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::media::BlobPart;

    #[test]
    fn a_link_is_good_for_its_object_its_size_and_its_time_only() {
        let keyring = Keyring::new([("kek-0001".to_owned(), [7; 32])].into()).unwrap();
        let link =
            FileLink { key: BlobKey::new(MediaId(Uuid::from_u128(1)), BlobPart::Upload), size: Some(10), expires: 100 };
        let signature = link.sign(&keyring);
        let now = Timestamp(99_000);
        assert!(link.is_good(&keyring, &signature, now));
        assert!(!link.is_good(&keyring, &signature, Timestamp(100_000)));
        assert!(!FileLink { size: Some(11), ..link }.is_good(&keyring, &signature, now));
        assert!(!FileLink { size: None, ..link }.is_good(&keyring, &signature, now));
        assert!(!FileLink { expires: 101, ..link }.is_good(&keyring, &signature, now));
        let other = BlobKey::new(link.key.media, BlobPart::Shown);
        assert!(!FileLink { key: other, ..link }.is_good(&keyring, &signature, now));
        for bad in ["", "zz", &"é".repeat(16), &signature[..30]] {
            assert!(!link.is_good(&keyring, bad, now), "{bad}");
        }
        // A sign is no digit, though it may begin a number.
        let (link, at, mut signature) = (100..)
            .find_map(|expires| {
                let link = FileLink { expires, ..link };
                let signature = link.sign(&keyring);
                let at = (0..signature.len()).step_by(2).find(|at| signature[*at..].starts_with('0'))?;
                Some((link, at, signature))
            })
            .unwrap();
        assert!(link.is_good(&keyring, &signature, now));
        signature.replace_range(at..=at, "+");
        assert!(!link.is_good(&keyring, &signature, now), "{signature}");
    }
}
