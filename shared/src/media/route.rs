//! Which backends are offered the jobs of a class, and in which order.
//!
//! A backend is a place where handlers take jobs; here it is only a name. The first of a route is
//! offered the job; the next one gets it if no worker took it in time, or if it was refused.

use std::collections::BTreeMap;

use super::{Media, Source, State};

/// The longest route: a job is not handed around for ever.
pub const MAX_ROUTE: usize = 16;

/// What kind of work a job is, as far as it matters where it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Bringing a source from its URL: network, no encoder.
    Ingest,
    /// Outputs of a source that begins like audio (`audio/*` by its first bytes).
    Audio,
    /// Outputs of any other source.
    Video,
}

impl Class {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Ingest, Self::Audio, Self::Video];

    /// The class's name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Audio => "audio",
            Self::Video => "video",
        }
    }

    /// The class of making the outputs of a source.
    pub(super) fn of(source: &Source) -> Self {
        Self::declared(source.content_type.as_deref())
    }

    /// The class that a source is likely to be of, by what its owner declares it to be.
    pub fn declared(content_type: Option<&str>) -> Self {
        match content_type {
            Some(kind) if kind.starts_with("audio/") => Self::Audio,
            _ => Self::Video,
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|class| class.as_str() == name)
    }
}

/// The route of each class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routes {
    default: String,
    lines: BTreeMap<Class, Vec<String>>,
}

/// Why a text says no routes. It never shows the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRoutes {
    /// It does not have the form.
    #[error(
        "must read `<class>=<backend>,<backend>;…`, each class (video, audio, ingest) at most once, each backend at most once in a line"
    )]
    Malformed,
    /// A name is none of the configured backends.
    #[error("names a backend that is not configured")]
    UnknownBackend,
    /// More than [`MAX_ROUTE`] backends in a line.
    #[error("has more than {MAX_ROUTE} backends in a line")]
    TooLong,
}

impl Routes {
    /// Everything goes to one backend.
    pub fn only(backend: impl Into<String>) -> Self {
        Self { default: backend.into(), lines: BTreeMap::new() }
    }

    /// Reads `video=gpu,box;audio=lambda,gpu`. A class without a line goes to the first of
    /// `backends`, which are the names that there are, and only there.
    ///
    /// # Errors
    /// [`InvalidRoutes`]; also where there are no backends at all.
    pub fn parse(text: &str, backends: &[&str]) -> Result<Self, InvalidRoutes> {
        let mut routes = Self::only(*backends.first().ok_or(InvalidRoutes::UnknownBackend)?);
        for line in text.split(';').map(str::trim).filter(|line| !line.is_empty()) {
            let (class, names) = line.split_once('=').ok_or(InvalidRoutes::Malformed)?;
            let class = Class::named(class.trim()).ok_or(InvalidRoutes::Malformed)?;
            let mut route: Vec<String> = Vec::new();
            for name in names.split(',').map(str::trim) {
                if name.is_empty() || route.iter().any(|known| known == name) {
                    return Err(InvalidRoutes::Malformed);
                }
                if !backends.contains(&name) {
                    return Err(InvalidRoutes::UnknownBackend);
                }
                route.push(name.to_owned());
            }
            if route.len() > MAX_ROUTE {
                return Err(InvalidRoutes::TooLong);
            }
            if routes.lines.insert(class, route).is_some() {
                return Err(InvalidRoutes::Malformed);
            }
        }
        Ok(routes)
    }

    /// The backends for a class in order of preference: never none. The one that is to be avoided
    /// is left out where there is another.
    pub fn of(&self, class: Class, avoid: Option<&str>) -> Vec<String> {
        let route = match self.lines.get(&class) {
            Some(route) => route.clone(),
            None => vec![self.default.clone()],
        };
        let others: Vec<_> =
            route.iter().filter(|name| Some(name.as_str()) != avoid).cloned().collect();
        if others.is_empty() { route } else { others }
    }
}

impl Media {
    /// The class of the media's job: of the one that is under way, or comes next.
    pub fn class(&self) -> Class {
        match &self.state {
            State::Uploaded { source }
            | State::Transcoding { source, .. }
            | State::Ready { source, .. }
            | State::Failed { source: Some(source), .. } => Class::of(source),
            State::Uploading { .. }
            | State::Failed { source: None, .. }
            | State::Deleted { .. } => Class::Ingest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const BACKENDS: &[&str] = &["box", "gpu", "lambda"];

    #[test]
    fn each_class_has_its_route() {
        let routes =
            Routes::parse(" video = gpu , box ; audio=lambda,gpu; ", BACKENDS).expect("routes");
        assert_eq!(routes.of(Class::Video, None), ["gpu", "box"]);
        assert_eq!(routes.of(Class::Audio, None), ["lambda", "gpu"]);
        assert_eq!(routes.of(Class::Ingest, None), ["box"], "the first that there is");
        assert_eq!(Routes::parse("", BACKENDS), Ok(Routes::only("box")));
    }

    #[test]
    fn what_is_to_be_avoided_is_left_out_where_there_is_another() {
        let routes = Routes::parse("video=gpu,box;audio=gpu", BACKENDS).expect("routes");
        assert_eq!(routes.of(Class::Video, Some("gpu")), ["box"]);
        assert_eq!(routes.of(Class::Video, Some("lambda")), ["gpu", "box"]);
        assert_eq!(routes.of(Class::Audio, Some("gpu")), ["gpu"]);
    }

    #[rstest]
    #[case("video", InvalidRoutes::Malformed)]
    #[case("video=", InvalidRoutes::Malformed)]
    #[case("video=gpu,", InvalidRoutes::Malformed)]
    #[case("video=gpu,gpu", InvalidRoutes::Malformed)]
    #[case("video=gpu;video=box", InvalidRoutes::Malformed)]
    #[case("pictures=gpu", InvalidRoutes::Malformed)]
    #[case("video=gpu,hunter2", InvalidRoutes::UnknownBackend)]
    fn refuses(#[case] text: &str, #[case] expected: InvalidRoutes) {
        assert_eq!(Routes::parse(text, BACKENDS), Err(expected));
        assert!(!expected.to_string().contains("hunter2"));
    }

    #[test]
    fn a_route_ends() {
        let names: Vec<String> = (0..=MAX_ROUTE).map(|number| format!("b{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let line = |count: usize| format!("video={}", names[..count].join(","));
        assert!(Routes::parse(&line(MAX_ROUTE), &names).is_ok());
        assert_eq!(Routes::parse(&line(MAX_ROUTE + 1), &names), Err(InvalidRoutes::TooLong));
        assert_eq!(Routes::parse("", &[]), Err(InvalidRoutes::UnknownBackend));
    }
}
