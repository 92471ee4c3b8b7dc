//! Numbers of any length, exactly.

use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(left: &str, right: &str, expected: Ordering) {
    let (a, b) = (Number::parse(left).unwrap(), Number::parse(right).unwrap());
    assert_eq!((a.cmp(&b), b.cmp(&a), a == b), (expected, expected.reverse(), expected.is_eq()), "{left} and {right}");
}

#[test]
fn equal_numbers_have_many_spellings() {
    for (left, right) in [
        ("1.0", "1"),
        ("-0", "0"),
        ("-0.00", "+0"),
        ("007", "7"),
        ("1.", "1"),
        (".5", "0.5"),
        ("+3", "3"),
        ("1.50", "01.5"),
        ("-.5", "-0.50"),
    ] {
        check(left, right, Ordering::Equal);
    }
}

#[test]
fn the_order_is_exact_at_any_length() {
    let zeros = "0".repeat(60);
    let ascending = [
        &format!("-1{zeros}"),
        "-10",
        "-9.5",
        "-9.05",
        "-0.1",
        "-0.01",
        "0",
        "0.01",
        "0.1",
        "0.11",
        "0.2",
        "1",
        "9",
        "9.999",
        "10",
        "20240101123045787",
        "20240101123045788",
        "20240101123045789",
        "18446744073709551615",
        "18446744073709551616",
        &format!("1{zeros}"),
        &format!("1{zeros}.{zeros}1"),
        &format!("1{zeros}.1"),
    ];
    for pair in ascending.windows(2) {
        check(pair[0], pair[1], Ordering::Less);
    }
}

#[test]
fn what_is_no_number() {
    for text in ["", "-", "+", ".", "-.", "+-1", "--1", "1.2.3", "1,5", " 1", "1 ", "abc", "1a", "٣", "e5", "1e", "1-2"]
    {
        assert_eq!(Number::parse(text), Err(format!("{text:?} is no number")));
    }
    for (text, hint) in [
        ("1e3", "exponents are not read"),
        ("1.5E-3", "exponents are not read"),
        ("0x10", "hexadecimal is not read"),
        ("1_000", "underscores are not read"),
        ("inf", "infinity and not-a-number have no place in an order"),
        ("-Infinity", "infinity and not-a-number have no place in an order"),
        ("NaN", "infinity and not-a-number have no place in an order"),
    ] {
        assert_eq!(Number::parse(text), Err(format!("{text:?} is no number: {hint}")));
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,12}|[-+.0-9exp_]{0,8}") {
        prop_assert_eq!(Number::parse(&text).is_ok(), Number::read(&text).is_some());
    }

    #[test]
    fn decimals_compare_as_scaled_integers(a in -99_999_i64..99_999, b in -99_999_i64..99_999, padding in 0_usize..4) {
        let print = |n: i64| {
            let sign = if n < 0 { "-" } else { "" };
            format!("{sign}{}{}.{:03}{}", "0".repeat(padding), n.abs() / 1000, n.abs() % 1000, "0".repeat(padding))
        };
        let (left, right) = (print(a), print(b));
        prop_assert_eq!(Number::parse(&left).unwrap().cmp(&Number::parse(&right).unwrap()), a.cmp(&b));
    }

    #[test]
    fn integers_compare_as_integers(a: i128, b: i128) {
        let (left, right) = (a.to_string(), b.to_string());
        prop_assert_eq!(Number::parse(&left).unwrap().cmp(&Number::parse(&right).unwrap()), a.cmp(&b));
    }

    #[test]
    fn ranks_never_contradict_the_order(
        a in "[-+]?[0-9]{0,3}(\\.[0-9]?)?|[-+]?0{0,3}(9223372036854775[0-9]{0,9}|[0-9]{17,22})|[-+.0-9x]{0,4}",
        b in "[-+]?[0-9]{0,3}(\\.[0-9]?)?|[-+]?0{0,3}(9223372036854775[0-9]{0,9}|[0-9]{17,22})|[-+.0-9x]{0,4}",
    ) {
        prop_assert!(Number::read(&a).is_none() || !matches!(rank(&a), 0 | u64::MAX), "{} is a number", a);
        if let (Some(left), Some(right)) = (Number::read(&a), Number::read(&b)) {
            match left.cmp(&right) {
                Ordering::Less => prop_assert!(rank(&a) <= rank(&b)),
                Ordering::Equal => prop_assert_eq!(rank(&a), rank(&b)),
                Ordering::Greater => prop_assert!(rank(&a) >= rank(&b)),
            }
        }
    }
}
