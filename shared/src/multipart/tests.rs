//! Plans, lists of parts, and entity tags.

use proptest::prelude::*;
use rstest::rstest;

use super::*;

const MIB: u64 = 1 << 20;
const EMPTY: &str = "d41d8cd98f00b204e9800998ecf8427e";

proptest! {
    #[test]
    fn parts_make_up_the_whole(size in 1..=MAX_OBJECT) {
        let plan = Plan::of(size).expect("a plan");
        let sizes: Vec<_> = (1..=plan.count()).map(|n| plan.size_of(n).expect("a part")).collect();
        prop_assert_eq!(sizes.iter().sum::<u64>(), size);
        // R2: all equal, at least 5 MiB, at most 10 000; the last one is what remains.
        let (last, others) = sizes.split_last().expect("at least one");
        prop_assert!(others.iter().all(|size| *size == plan.part_size()));
        prop_assert!((1..=plan.part_size()).contains(last));
        prop_assert!(plan.part_size() >= 5 * MIB && sizes.len() <= 10_000);
        prop_assert_eq!(plan.size_of(0), None);
        prop_assert_eq!(plan.size_of(plan.count() + 1), None);
    }
}

#[rstest]
#[case(0)]
#[case(MAX_OBJECT + 1)]
#[case(u64::MAX)]
fn no_plan(#[case] size: u64) {
    assert_eq!(Plan::of(size), None);
}

#[test]
fn a_kept_plan_keeps_its_part_size() {
    let plan = Plan::kept(100, 30).expect("a plan");
    assert_eq!((plan.count(), plan.size_of(4)), (4, Some(10)));
    assert_eq!(Plan::kept(100, 0), None);
    assert_eq!(Plan::kept(10_001, 1), None);
}

#[rstest]
#[case(EMPTY, true)]
#[case(&format!("\"{EMPTY}\""), true)]
#[case(&EMPTY.to_uppercase(), true)]
#[case(&EMPTY[1..], false)]
#[case(&format!("\"{EMPTY}"), false)]
#[case(&format!("{EMPTY}-2"), false)]
#[case("+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1", false)]
#[case("", false)]
fn reads_a_tag(#[case] text: &str, #[case] good: bool) {
    assert_eq!(PartTag::parse(text).map(|tag| tag.to_string()), good.then(|| EMPTY.to_owned()));
}

/// Three parts: 30, 30 and 10 bytes.
fn three() -> Plan {
    Plan::kept(70, 30).expect("a plan")
}

fn tag(digit: char) -> String {
    digit.to_string().repeat(32)
}

fn check(parts: &[(u16, &str)]) -> Result<Vec<PartTag>, NotWhole> {
    whole(three(), parts.iter().copied())
}

#[test]
fn a_list_is_whole_and_in_order() {
    let (a, b, c) = (tag('a'), tag('b'), tag('c'));
    assert!(check(&[(1, &a), (2, &b), (3, &c)]).is_ok());
    assert_eq!(check(&[(1, &a), (2, &b)]), Err(NotWhole::Count { given: 2, planned: 3 }));
    assert_eq!(check(&[]), Err(NotWhole::Count { given: 0, planned: 3 }));
    let four = [(1, &*a), (2, &b), (3, &c), (4, &c)];
    assert_eq!(check(&four), Err(NotWhole::Count { given: 4, planned: 3 }));
    assert_eq!(check(&[(1, &a), (3, &c), (2, &b)]), Err(NotWhole::Order { expected: 2 }));
    assert_eq!(check(&[(1, &a), (1, &a), (2, &b)]), Err(NotWhole::Order { expected: 2 }));
    assert_eq!(check(&[(0, &a), (1, &a), (2, &b)]), Err(NotWhole::Order { expected: 1 }));
    assert_eq!(check(&[(1, &a), (2, "x"), (3, &c)]), Err(NotWhole::Tag { number: 2 }));
}

#[test]
fn what_is_stored_must_be_what_is_named() {
    let (a, b, c) = (tag('a'), tag('b'), tag('c'));
    let tags = check(&[(1, &a), (2, &b), (3, &c)]).expect("whole");
    let check = |parts: &[(u16, u64, &str)]| stored(three(), &tags, parts.iter().copied());
    assert_eq!(check(&[(3, 10, &c), (1, 30, &a), (2, 30, &b)]), Ok(()));
    assert_eq!(check(&[(1, 30, &a), (2, 30, &b), (3, 10, &c), (9, 1, &c)]), Ok(()));
    assert_eq!(check(&[(1, 30, &a), (3, 10, &c)]), Err(NotWhole::Absent { number: 2 }));
    assert_eq!(
        check(&[(1, 30, &a), (2, 29, &b), (3, 10, &c)]),
        Err(NotWhole::Size { number: 2, size: 29, planned: 30 })
    );
    assert_eq!(check(&[(1, 30, &a), (2, 30, &a), (3, 10, &c)]), Err(NotWhole::Other { number: 2 }));
}

/// Three parts of `a`, `b` and `c`, by Python's hashlib.
#[test]
fn the_tag_of_the_whole_is_the_md5_of_md5s() {
    let tags: Vec<_> = [
        "0cc175b9c0f1b6a831c399e269772661",
        "92eb5ffee6ae2fec3ad71c777531578f",
        "4a8a08f09d37b73795649038408b5f33",
    ]
    .iter()
    .map(|text| PartTag::parse(text).expect("a tag"))
    .collect();
    assert_eq!(composite_tag(&tags), "4054c6f7787ecb7b323323155b0c0583-3");
}
