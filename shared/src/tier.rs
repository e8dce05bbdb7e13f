//! How much a caller may upload: every API key is of one tier.
//!
//! The limit that is in force when a media is created stays with it, so that whoever uploads by a
//! token is held to the limit of the key that handed the token out.

use serde::{Deserialize, Serialize};

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Tier {
    /// Small files: 500 MiB unless configured otherwise.
    Free,
    /// What a key is unless its maker says otherwise: 20 GiB.
    #[default]
    Standard,
    /// Whatever the deployment takes at all; the root key is of this tier.
    Unlimited,
}

impl Tier {
    /// All of them, the smallest first.
    pub const ALL: &[Self] = &[Self::Free, Self::Standard, Self::Unlimited];

    /// The tier's name as callers see it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Standard => "standard",
            Self::Unlimited => "unlimited",
        }
    }

    /// The tier of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|tier| tier.as_str() == name)
    }
}

/// The largest source of each tier, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TierLimits {
    free: u64,
    standard: u64,
    most: u64,
}

/// Why a text sets no limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must read `free=<bytes>,standard=<bytes>`, each at most once and at least 1")]
pub struct InvalidTierLimits;

impl TierLimits {
    const FREE: u64 = 500 << 20;
    const STANDARD: u64 = 20 << 30;

    /// The defaults, in a deployment that takes at most `most` bytes.
    pub const fn new(most: u64) -> Self {
        Self { free: Self::FREE, standard: Self::STANDARD, most }
    }

    /// The defaults but for what `text` says: `free=<bytes>,standard=<bytes>`, either or both.
    pub fn parse(text: &str, most: u64) -> Result<Self, InvalidTierLimits> {
        let (mut free, mut standard) = (None, None);
        for entry in text.split(',') {
            let (name, bytes) = entry.split_once('=').ok_or(InvalidTierLimits)?;
            let limit = match Tier::named(name.trim()) {
                Some(Tier::Free) => &mut free,
                Some(Tier::Standard) => &mut standard,
                // That one is the deployment's own limit.
                Some(Tier::Unlimited) | None => return Err(InvalidTierLimits),
            };
            let bytes = bytes.trim().parse().ok().filter(|bytes| *bytes > 0);
            if limit.replace(bytes.ok_or(InvalidTierLimits)?).is_some() {
                return Err(InvalidTierLimits);
            }
        }
        let (free, standard) = (free.unwrap_or(Self::FREE), standard.unwrap_or(Self::STANDARD));
        Ok(Self { free, standard, most })
    }

    /// The largest source of `tier`, in bytes; never more than the deployment takes.
    pub fn of(&self, tier: Tier) -> u64 {
        let limit = match tier {
            Tier::Free => self.free,
            Tier::Standard => self.standard,
            Tier::Unlimited => self.most,
        };
        limit.min(self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const TIB: u64 = 1 << 40;

    #[test]
    fn every_tier_has_its_limit() {
        let limits = TierLimits::new(TIB);
        let all: Vec<_> = Tier::ALL.iter().map(|tier| limits.of(*tier)).collect();
        assert_eq!(all, [524_288_000, 21_474_836_480, TIB]);
    }

    #[test]
    fn no_tier_is_above_the_deployment() {
        let limits = TierLimits::parse("standard=1000", 900).expect("limits");
        assert!(Tier::ALL.iter().all(|tier| limits.of(*tier) == 900));
    }

    #[rstest]
    #[case("free=7", 7, 21_474_836_480)]
    #[case("standard=9,free=7", 7, 9)]
    #[case(" free = 7 , standard = 9 ", 7, 9)]
    fn limits_are_configured(#[case] text: &str, #[case] free: u64, #[case] standard: u64) {
        let limits = TierLimits::parse(text, TIB).expect("limits");
        assert_eq!((limits.of(Tier::Free), limits.of(Tier::Standard)), (free, standard));
    }

    #[rstest]
    #[case("")]
    #[case("free")]
    #[case("free=")]
    #[case("free=0")]
    #[case("free=-1")]
    #[case("free=1e9")]
    #[case("free=1,free=2")]
    #[case("unlimited=1")]
    #[case("gold=1")]
    #[case("free=18446744073709551616")]
    fn refuses(#[case] text: &str) {
        assert_eq!(TierLimits::parse(text, TIB), Err(InvalidTierLimits));
    }

    #[test]
    fn names_are_those_of_the_json() {
        for tier in Tier::ALL {
            assert_eq!(serde_json::to_value(tier).expect("JSON"), tier.as_str());
            assert_eq!(Tier::named(tier.as_str()), Some(*tier));
        }
        assert_eq!(Tier::named("Free"), None);
    }
}
