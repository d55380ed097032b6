//! References of container images.

use std::fmt;

use thiserror::Error;

use crate::api;

/// Why a reference cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Error {
    /// It has neither tag nor digest, so what runs would change unseen.
    #[error("image {0} has neither tag nor digest")]
    Unversioned(String),
    /// It is empty.
    #[error("image has no name")]
    Empty,
}

/// An image reference: repository and a tag or digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageRef {
    /// Registry and name.
    pub repository: String,
    /// Tag.
    pub tag: Option<String>,
    /// Digest; wins over the tag.
    pub digest: Option<String>,
}

impl ImageRef {
    /// Parses `repository[:tag][@digest]`.
    pub fn parse(reference: &str) -> Result<Self, Error> {
        let (rest, digest) = match reference.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.to_owned())),
            None => (reference, None),
        };
        // A colon before the last slash belongs to the registry's port.
        let (repository, tag) = match rest.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag.to_owned())),
            _ => (rest, None),
        };
        if repository.is_empty() {
            return Err(Error::Empty);
        }
        if tag.is_none() && digest.is_none() {
            return Err(Error::Unversioned(reference.to_owned()));
        }
        Ok(Self { repository: repository.to_owned(), tag, digest })
    }

    /// This reference with the parts that a resource sets.
    #[must_use]
    pub fn overridden(&self, image: &api::Image) -> Self {
        let mut merged = self.clone();
        if let Some(repository) = &image.repository {
            merged.repository.clone_from(repository);
        }
        if image.tag.is_some() || image.digest.is_some() {
            merged.tag.clone_from(&image.tag);
            merged.digest.clone_from(&image.digest);
        }
        merged
    }

    /// What users call its version.
    pub fn version(&self) -> &str {
        self.tag.as_deref().or(self.digest.as_deref()).unwrap_or_default()
    }

    /// Whether its tag is that of a release: three numbers.
    pub fn is_release(&self) -> bool {
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        self.tag.as_deref().is_some_and(|tag| tag.split('.').count() == 3 && tag.split('.').all(is_number))
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_told_by_their_tags() {
        let is_release = |text: &str| ImageRef::parse(text).unwrap().is_release();
        assert!(is_release("sentinel:0.1.0") && is_release("registry:5000/sentinel:10.20.30@sha256:abc"));
        for other in ["sentinel:1", "sentinel:1.2", "sentinel:1..2", "sentinel:0.1.0-rc1", "sentinel@sha256:abc"] {
            assert!(!is_release(other), "{other}");
        }
    }

    #[test]
    fn parts_are_told_apart() {
        for (text, repository, version) in [
            ("sentinel:1", "sentinel", "1"),
            ("registry.example.com:5000/a/sentinel:1.2", "registry.example.com:5000/a/sentinel", "1.2"),
            ("a/sentinel@sha256:00", "a/sentinel", "sha256:00"),
            ("a/sentinel:2@sha256:00", "a/sentinel", "2"),
        ] {
            let image = ImageRef::parse(text).unwrap();
            assert_eq!((image.repository.as_str(), image.version()), (repository, version));
            assert_eq!(image.to_string(), text);
        }
        assert_eq!(ImageRef::parse("registry:5000/sentinel"), Err(Error::Unversioned("registry:5000/sentinel".into())));
        assert_eq!(ImageRef::parse(":1"), Err(Error::Empty));
    }

    #[test]
    fn a_tag_of_the_resource_replaces_the_digest_of_the_operator() {
        let default = ImageRef::parse("a/sentinel@sha256:00").unwrap();
        let image = api::Image { tag: Some("3".into()), ..api::Image::default() };
        assert_eq!(default.overridden(&image).to_string(), "a/sentinel:3");
        assert_eq!(default.overridden(&api::Image::default()), default);
    }
}
