//! Money is exact, and nobody guesses.

use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::*;

const SECOND: u64 = 1000;

#[rstest]
#[case("0.00019", 190_000)]
#[case("0", 0)]
#[case("12", 12_000_000_000)]
#[case("1.5", 1_500_000_000)]
#[case("0.000000001", 1)]
fn amounts_are_decimals(#[case] text: &str, #[case] nanos: u64) {
    let money: Money = text.parse().expect("an amount");
    assert_eq!((money, money.to_string().as_str()), (Money::from_nanos(nanos), text));
}

#[rstest]
#[case::empty("")]
#[case::no_whole(".5")]
#[case::no_decimals("1.")]
#[case::negative("-1")]
#[case::exponent("1e-5")]
#[case::too_fine("0.0000000001")]
#[case::too_much("18446744074")]
#[case::space(" 1")]
fn what_is_no_amount_is_refused(#[case] text: &str) {
    assert_eq!(text.parse::<Money>(), Err(InvalidMoney));
}

proptest! {
    #[test]
    fn an_amount_survives_its_text(nanos: u64) {
        let money = Money::from_nanos(nanos);
        prop_assert_eq!(money.to_string().parse(), Ok(money));
    }

    /// A thousand milliseconds are a second, and splitting a job changes a nanodollar at most.
    #[test]
    fn time_is_billed_in_proportion(price in 0..10_000_000_u64, a in 0..10_000_000_u64, b in 0..10_000_000_u64) {
        let price = Money::from_nanos(price);
        prop_assert_eq!(price.for_millis(SECOND), price);
        let apart = price.for_millis(a).plus(price.for_millis(b));
        let together = price.for_millis(a + b);
        prop_assert!(apart <= together.plus(Money::from_nanos(1)));
        prop_assert!(together <= apart.plus(Money::from_nanos(1)));
    }
}

#[test]
fn a_cost_is_pinned() {
    let usage = Usage { delay_ms: 4210, execution_ms: 61_337, worker_id: Some("w-1".to_owned()) };
    let cost = JobCost::new(1, "job-u1", Some("NVIDIA L4"), &usage, &Prices::default());
    let pinned = json!({
        "attempt": 1, "job": "job-u1", "workerId": "w-1", "gpu": "NVIDIA L4",
        "queueSeconds": 4.21, "executionSeconds": 61.337,
        "pricePerSecond": "0.00019", "amount": "0.01165403",
    });
    assert_eq!(serde_json::to_value(&cost).expect("JSON"), pinned);
    assert_eq!(serde_json::from_value::<JobCost>(pinned).expect("a cost"), cost);
}

#[rstest]
#[case::known(Some("NVIDIA L4"), 1000, Some("0.00019"))]
#[case::unknown_gpu(Some("Radeon"), 1000, None)]
#[case::no_gpu(None, 1000, None)]
#[case::never_ran(None, 0, Some("0"))]
fn an_unknown_gpu_has_no_price(
    #[case] gpu: Option<&str>,
    #[case] execution_ms: u64,
    #[case] amount: Option<&str>,
) {
    let usage = Usage { execution_ms, ..Usage::default() };
    let cost = JobCost::new(1, "a", gpu, &usage, &Prices::default());
    assert_eq!(cost.amount.map(String::from).as_deref(), amount);
}

#[test]
fn a_total_is_known_when_every_part_is() {
    let cost = |gpu| {
        let usage = Usage { execution_ms: 500, ..Usage::default() };
        JobCost::new(1, "a", gpu, &usage, &Prices::default())
    };
    let (known, unknown) = (cost(Some("NVIDIA H200")), cost(None));
    assert_eq!(total(&[]), Some(Money::ZERO));
    assert_eq!(total(&[known.clone(), known.clone()]), "0.00155".parse().ok());
    assert_eq!(total(&[known, unknown]), None);
}

#[test]
fn names_from_outside_are_bounded() {
    let long = "ü".repeat(1000);
    let usage = Usage { worker_id: Some(long.clone()), ..Usage::default() };
    let cost = JobCost::new(1, &long, Some(&long), &usage, &Prices::default());
    for name in [Some(cost.job), cost.worker_id, cost.gpu] {
        assert_eq!(name.expect("there").len(), 100);
    }
}

#[test]
fn a_list_is_changed_by_configuration() {
    let text = r#"{"NVIDIA L4": "0.0002", "Mine": 0.00001, "NVIDIA H200": 3}"#;
    let prices = Prices::parse(text).expect("a list");
    let of = |gpu| prices.of(Some(gpu)).map(String::from);
    assert_eq!(of("NVIDIA L4").as_deref(), Some("0.0002"));
    assert_eq!(of("Mine").as_deref(), Some("0.00001"));
    assert_eq!(of("NVIDIA H200").as_deref(), Some("3"));
    assert_eq!(of("NVIDIA A40").as_deref(), Some("0.00034"), "the rest stays");
    assert_eq!(of("Radeon"), None);
    let prices = Prices::parse(r#"{"*": 0.1}"#).expect("a list");
    assert_eq!(prices.of(None), "0.1".parse().ok());
    assert_eq!(prices.of(Some("Radeon")), "0.1".parse().ok());
    assert_eq!(prices.of(Some("NVIDIA L4")), "0.00019".parse().ok());
}

#[rstest]
#[case("")]
#[case("[]")]
#[case(r#"{"a": -1}"#)]
#[case(r#"{"a": "free"}"#)]
#[case(r#"{"a": null}"#)]
#[case(r#"{"a": 0.0000000001}"#)]
#[case(r#"{"a": 1e300}"#)]
fn a_wrong_list_is_refused(#[case] text: &str) {
    assert_eq!(Prices::parse(text), Err(InvalidPrices));
}
