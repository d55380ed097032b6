//! Encryption of Web Push messages (RFC 8291, by the content coding `aes128gcm` of RFC 8188): the push service carries
//! what only the browser can read.

use aws_lc_rs::{
    aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree},
    error::Unspecified,
    hkdf::{HKDF_SHA256, KeyType, Prk, Salt},
};

/// Bytes of a P-256 point, uncompressed.
pub(super) const POINT: usize = 65;
/// Bytes of a browser's authentication secret.
pub(super) const SECRET: usize = 16;
const SALT: usize = 16;
/// The record's size that is announced; push services take no more than one record.
const RECORD: u32 = 4096;
/// Ends the text of the last record.
const LAST_RECORD: u8 = 2;
/// Most bytes of a text, after what is around it: header, delimiter and tag.
pub(super) const LONGEST_TEXT: usize = 4096 - (SALT + 4 + 1 + POINT) - 1 - 16;

/// What a browser gave along with its subscription.
#[derive(Clone, Copy)]
pub(super) struct Recipient {
    pub key: [u8; POINT],
    pub secret: [u8; SECRET],
}

/// Encrypts a text under a fresh key and salt.
pub(super) fn encrypt(text: &[u8], to: &Recipient) -> Result<Vec<u8>, Unspecified> {
    let mut salt = [0; SALT];
    aws_lc_rs::rand::fill(&mut salt)?;
    encrypt_with(text, to, &PrivateKey::generate(&ECDH_P256)?, salt)
}

fn encrypt_with(text: &[u8], to: &Recipient, own: &PrivateKey, salt: [u8; SALT]) -> Result<Vec<u8>, Unspecified> {
    let own_public = own.compute_public_key()?;
    let keying = agree(own, UnparsedPublicKey::new(&ECDH_P256, &to.key), Unspecified, |shared| {
        let both = [b"WebPush: info\0".as_slice(), &to.key, own_public.as_ref()];
        expand::<32>(&Salt::new(HKDF_SHA256, &to.secret).extract(shared), &both)
    })?;
    let pseudorandom = Salt::new(HKDF_SHA256, &salt).extract(&keying);
    let key = expand::<16>(&pseudorandom, &[b"Content-Encoding: aes128gcm\0"])?;
    let nonce = expand::<12>(&pseudorandom, &[b"Content-Encoding: nonce\0"])?;

    let mut sealed = text.to_vec();
    sealed.push(LAST_RECORD);
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key)?);
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed)?;

    let point = own_public.as_ref();
    let mut message = Vec::with_capacity(SALT + 5 + point.len() + sealed.len());
    message.extend_from_slice(&salt);
    message.extend_from_slice(&RECORD.to_be_bytes());
    message.push(u8::try_from(point.len()).map_err(|_| Unspecified)?);
    message.extend_from_slice(point);
    message.extend_from_slice(&sealed);
    Ok(message)
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn expand<const N: usize>(from: &Prk, info: &[&[u8]]) -> Result<[u8; N], Unspecified> {
    let mut key = [0; N];
    from.expand(info, Length(N))?.fill(&mut key)?;
    Ok(key)
}

#[cfg(test)]
pub(super) mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::*;

    fn bytes<const N: usize>(text: &str) -> [u8; N] {
        URL_SAFE_NO_PAD.decode(text).unwrap().try_into().unwrap()
    }

    fn browser() -> (PrivateKey, Recipient) {
        let private: [u8; 32] = bytes("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94");
        let key = bytes("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4");
        let recipient = Recipient { key, secret: bytes("BTBZMqHH6r4Tts7J_aSIgg") };
        (PrivateKey::from_private_key(&ECDH_P256, &private).unwrap(), recipient)
    }

    /// What a browser does: the other way round.
    pub(in super::super) fn decrypt(message: &[u8], own: &PrivateKey, to: &Recipient) -> Vec<u8> {
        let (salt, rest) = message.split_at(SALT);
        assert_eq!((&rest[..4], rest[4]), (&RECORD.to_be_bytes()[..], 65));
        let (sender, sealed) = rest[5..].split_at(POINT);
        let keying = agree(own, UnparsedPublicKey::new(&ECDH_P256, sender), Unspecified, |shared| {
            let both = [b"WebPush: info\0".as_slice(), &to.key, sender];
            expand::<32>(&Salt::new(HKDF_SHA256, &to.secret).extract(shared), &both)
        })
        .unwrap();
        let pseudorandom = Salt::new(HKDF_SHA256, salt).extract(&keying);
        let key = expand::<16>(&pseudorandom, &[b"Content-Encoding: aes128gcm\0"]).unwrap();
        let nonce = expand::<12>(&pseudorandom, &[b"Content-Encoding: nonce\0"]).unwrap();
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).unwrap());
        let mut sealed = sealed.to_vec();
        let text = key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed).unwrap().to_vec();
        let (end, text) = text.split_last().unwrap();
        assert_eq!(*end, LAST_RECORD);
        text.to_vec()
    }

    /// RFC 8291, section 5 and appendix A.
    #[test]
    fn the_example_of_the_standard() {
        let private: [u8; 32] = bytes("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw");
        let own = PrivateKey::from_private_key(&ECDH_P256, &private).unwrap();
        let text = b"When I grow up, I want to be a watermelon";
        let message = encrypt_with(text, &browser().1, &own, bytes("DGv6ra1nlYgDCS1FRnbzlw")).unwrap();
        let expected = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6Tl\
                        zAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a\
                        -fN";
        assert_eq!(URL_SAFE_NO_PAD.encode(message), expected);
    }

    #[test]
    fn the_browser_reads_it_and_no_two_messages_are_alike() {
        let (private, recipient) = browser();
        let longest = vec![b'x'; LONGEST_TEXT];
        let (first, second) = (encrypt(&longest, &recipient).unwrap(), encrypt(&longest, &recipient).unwrap());
        assert_ne!(first, second);
        assert_eq!(first.len(), 4096);
        assert_eq!(decrypt(&first, &private, &recipient), longest);
    }

    #[test]
    fn a_key_that_is_no_point_is_refused() {
        assert!(encrypt(b"x", &Recipient { key: [4; POINT], secret: [0; SECRET] }).is_err());
    }
}
