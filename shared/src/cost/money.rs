//! US dollars, exactly.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Decimals of a dollar that are kept.
const DECIMALS: usize = 9;
const NANOS: u64 = 1_000_000_000;

/// An amount of US dollars, in whole nanodollars. As text, and so in JSON, it is a decimal number
/// without an exponent: `0.00019`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Money(u64);

/// Why a text is no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an amount must be a decimal number of at most 9 decimals, such as 0.00019")]
pub struct InvalidMoney;

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// An amount of nanodollars.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The price of so many milliseconds at `self` a second, rounded half up to a nanodollar.
    #[must_use]
    pub fn for_millis(self, millis: u64) -> Self {
        let nanos = (u128::from(self.0) * u128::from(millis) + 500) / 1000;
        Self(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The sum of two; more than there is money is as much as can be told.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, nanos) = (self.0 / NANOS, self.0 % NANOS);
        if nanos == 0 {
            return write!(f, "{whole}");
        }
        let decimals = format!("{nanos:0DECIMALS$}");
        write!(f, "{whole}.{}", decimals.trim_end_matches('0'))
    }
}

impl FromStr for Money {
    type Err = InvalidMoney;

    fn from_str(text: &str) -> Result<Self, InvalidMoney> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || decimals.len() > DECIMALS {
            return Err(InvalidMoney);
        }
        let whole: u64 = whole.parse().map_err(|_| InvalidMoney)?;
        let nanos: u64 = format!("{decimals:0<DECIMALS$}").parse().map_err(|_| InvalidMoney)?;
        let total = whole.checked_mul(NANOS).and_then(|whole| whole.checked_add(nanos));
        total.map(Self).ok_or(InvalidMoney)
    }
}

impl TryFrom<String> for Money {
    type Error = InvalidMoney;

    fn try_from(text: String) -> Result<Self, InvalidMoney> {
        text.parse()
    }
}

impl From<Money> for String {
    fn from(money: Money) -> String {
        money.to_string()
    }
}
