//! What a second of each GPU costs.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Money;

/// In a configured list, the price of every GPU that it does not name, known or not: for an endpoint
/// whose GPUs all cost the same.
const ANY: &str = "*";

/// Nanodollars a second of a RunPod flex worker, by the GPU's id ([ids]): the flex prices of
/// <https://docs.runpod.io/serverless/endpoints/endpoint-configurations>, read on 2026-11-21 from a
/// stored copy of it. Newer copies send the reader on to <https://www.runpod.io/pricing>, so prices
/// may have moved: `GPU_PRICES` has the last word.
///
/// [ids]: https://docs.runpod.io/references/gpu-types
const RUNPOD: &[(u64, &[&str])] = &[
    (
        160_000,
        &[
            "NVIDIA RTX A4000",
            "NVIDIA RTX A4500",
            "NVIDIA RTX 4000 Ada Generation",
            "NVIDIA RTX 4000 SFF Ada Generation",
        ],
    ),
    (190_000, &["NVIDIA L4", "NVIDIA RTX A5000", "NVIDIA GeForce RTX 3090"]),
    (310_000, &["NVIDIA GeForce RTX 4090"]),
    (340_000, &["NVIDIA RTX A6000", "NVIDIA A40"]),
    (530_000, &["NVIDIA L40", "NVIDIA L40S", "NVIDIA RTX 6000 Ada Generation"]),
    (760_000, &["NVIDIA A100 80GB PCIe", "NVIDIA A100-SXM4-80GB"]),
    (1_160_000, &["NVIDIA H100 80GB HBM3", "NVIDIA H100 NVL", "NVIDIA H100 PCIe"]),
    (1_550_000, &["NVIDIA H200"]),
    (2_400_000, &["NVIDIA B200"]),
];

/// Prices a second by the name of the GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prices(BTreeMap<String, Money>);

/// Why a text is no price list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a JSON object of US dollars a second by GPU, such as {{\"NVIDIA L4\": \"0.00019\"}}, each with at most 9 decimals"
)]
pub struct InvalidPrices;

impl Default for Prices {
    /// RunPod's.
    fn default() -> Self {
        let priced = RUNPOD.iter().flat_map(|(nanos, gpus)| {
            gpus.iter().map(|gpu| ((*gpu).to_owned(), Money::from_nanos(*nanos)))
        });
        Self(priced.collect())
    }
}

impl Prices {
    /// The default list, with the prices of a JSON object in it: `{"NVIDIA L4": "0.00019"}`, as text
    /// or as a number. The GPU `*` is any that is not in the list.
    ///
    /// # Errors
    /// [`InvalidPrices`]: a single wrong one makes the list wrong.
    pub fn parse(text: &str) -> Result<Self, InvalidPrices> {
        let listed: BTreeMap<String, Value> =
            serde_json::from_str(text).map_err(|_| InvalidPrices)?;
        let mut prices = Self::default();
        for (gpu, price) in listed {
            let price = match price {
                Value::String(text) => text.parse().map_err(|_| InvalidPrices)?,
                Value::Number(number) => {
                    // The shortest text of a float is what was written, if it has few enough digits.
                    let number = number.as_f64().ok_or(InvalidPrices)?;
                    number.to_string().parse().map_err(|_| InvalidPrices)?
                }
                _ => return Err(InvalidPrices),
            };
            prices.0.insert(gpu, price);
        }
        Ok(prices)
    }

    /// What a second of a GPU costs, if that is known.
    pub fn of(&self, gpu: Option<&str>) -> Option<Money> {
        gpu.and_then(|gpu| self.0.get(gpu)).or_else(|| self.0.get(ANY)).copied()
    }
}
