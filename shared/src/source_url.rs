//! The URL that a source is fetched from: what is taken, and what of it may be seen.
//!
//! Its query often is a credential (a presigned URL), so a [`SourceUrl`] prints without it; only
//! who [exposes](SourceUrl::expose) it gets it whole. User names and passwords are refused: they
//! would end in `Authorization` headers to whatever host a redirect names.
//!
//! What the host's addresses are is not seen by looking at the URL; see [`crate::address`].

use std::fmt;

use serde::{Deserialize, Serialize};
use url::Url;

/// Longest URL, in bytes.
pub const MAX_LENGTH: usize = 2048;

/// An `http` or `https` URL without credentials and fragment, of at most [`MAX_LENGTH`] bytes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SourceUrl(Url);

/// Why a URL is not taken, as the end of a sentence. It never shows the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SourceUrlRefused {
    /// No URL, or a very long one.
    #[error("is not an absolute URL of at most 2048 characters")]
    Malformed,
    /// Another scheme than `http` and `https`.
    #[error("must begin with http:// or https://")]
    Scheme,
    /// User name or password.
    #[error("must not contain a user name or password")]
    Credentials,
    /// A redirect from `https` to `http`.
    #[error("must not leave https for http")]
    Downgrade,
}

impl SourceUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`SourceUrlRefused`], but for [`SourceUrlRefused::Downgrade`].
    pub fn parse(text: &str) -> Result<Self, SourceUrlRefused> {
        if text.len() > MAX_LENGTH {
            return Err(SourceUrlRefused::Malformed);
        }
        Url::parse(text).map_err(|_| SourceUrlRefused::Malformed).and_then(Self::check)
    }

    /// Where a `Location` leads (RFC 9110 §10.2.2).
    ///
    /// # Errors
    /// [`SourceUrlRefused`].
    pub fn redirected(&self, location: &str) -> Result<Self, SourceUrlRefused> {
        let target = self.0.join(location).map_err(|_| SourceUrlRefused::Malformed)?;
        let target = Self::check(target)?;
        if self.0.scheme() == "https" && target.0.scheme() == "http" {
            return Err(SourceUrlRefused::Downgrade);
        }
        Ok(target)
    }

    fn check(mut url: Url) -> Result<Self, SourceUrlRefused> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(SourceUrlRefused::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(SourceUrlRefused::Credentials);
        }
        url.set_fragment(None);
        if url.as_str().len() > MAX_LENGTH || url.host().is_none() {
            return Err(SourceUrlRefused::Malformed);
        }
        Ok(Self(url))
    }

    /// The whole URL, for fetching it.
    pub const fn expose(&self) -> &Url {
        &self.0
    }

    /// The URL as anybody may see it: without its query.
    pub fn public(&self) -> Url {
        let mut url = self.0.clone();
        url.set_query(None);
        url
    }

    /// Keeps nothing but what anybody may see.
    pub fn forget_query(&mut self) {
        self.0.set_query(None);
    }
}

impl fmt::Display for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.public().fmt(f)
    }
}

impl fmt::Debug for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceUrl({self})")
    }
}

impl TryFrom<String> for SourceUrl {
    type Error = SourceUrlRefused;

    fn try_from(text: String) -> Result<Self, SourceUrlRefused> {
        Self::parse(&text)
    }
}

impl From<SourceUrl> for String {
    fn from(url: SourceUrl) -> Self {
        url.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("https://example.com/a.mp4?X-Signature=s3cret#t=10", "https://example.com/a.mp4")]
    #[case("http://203.0.113.7:8080/a", "http://203.0.113.7:8080/a")]
    #[case("https://EXAMPLE.com", "https://example.com/")]
    fn shows_no_query(#[case] text: &str, #[case] shown: &str) {
        let url = SourceUrl::parse(text).expect("a URL");
        assert_eq!(url.to_string(), shown);
        assert!(!format!("{url:?}").contains("s3cret"));
        let json = serde_json::to_value(&url).expect("json");
        assert_eq!(serde_json::from_value::<SourceUrl>(json).expect("a URL"), url);
        let mut forgetful = url.clone();
        forgetful.forget_query();
        assert_eq!(forgetful.expose().as_str(), shown);
    }

    #[test]
    fn is_fetched_with_its_query_and_without_its_fragment() {
        let url = SourceUrl::parse("https://example.com/a?b=c#d").expect("a URL");
        assert_eq!(url.expose().as_str(), "https://example.com/a?b=c");
    }

    #[rstest]
    #[case("a.mp4", SourceUrlRefused::Malformed)]
    #[case("//example.com/a", SourceUrlRefused::Malformed)]
    #[case("https://", SourceUrlRefused::Malformed)]
    #[case(&format!("https://example.com/{}", "a".repeat(2048)), SourceUrlRefused::Malformed)]
    #[case("file:///etc/passwd", SourceUrlRefused::Scheme)]
    #[case("ftp://example.com/a", SourceUrlRefused::Scheme)]
    #[case("gopher://example.com/", SourceUrlRefused::Scheme)]
    #[case("data:video/mp4;base64,AAAA", SourceUrlRefused::Scheme)]
    #[case("https://user@example.com/", SourceUrlRefused::Credentials)]
    #[case("https://user:s3cret@example.com/", SourceUrlRefused::Credentials)]
    #[case("https://:s3cret@example.com/", SourceUrlRefused::Credentials)]
    fn refuses(#[case] text: &str, #[case] why: SourceUrlRefused) {
        assert_eq!(SourceUrl::parse(text), Err(why));
        assert!(!why.to_string().contains("s3cret"));
    }

    #[rstest]
    #[case("/b?c", Ok("https://example.com/b?c"))]
    #[case("b", Ok("https://example.com/a/b"))]
    #[case("//other.example/b", Ok("https://other.example/b"))]
    #[case("https://other.example:444/", Ok("https://other.example:444/"))]
    #[case("http://example.com/", Err(SourceUrlRefused::Downgrade))]
    #[case("https://me:s3cret@example.com/", Err(SourceUrlRefused::Credentials))]
    #[case("file:///etc/passwd", Err(SourceUrlRefused::Scheme))]
    #[case("https://[::1", Err(SourceUrlRefused::Malformed))]
    fn follows(#[case] location: &str, #[case] leads: Result<&str, SourceUrlRefused>) {
        let from = SourceUrl::parse("https://example.com/a/").expect("a URL");
        let to = from.redirected(location);
        assert_eq!(to.as_ref().map(|url| url.expose().as_str()), leads.as_ref().copied());
    }
}
