//! Variables in texts. Input: a value for `v`, then a text with expressions.

use std::collections::BTreeMap;

use tagboat::sync::substitute::{TEXT_BYTES, Variables, text};

use super::first_line;

pub fn run(input: &[u8]) {
    let (value, rest) = first_line(input);
    let from = String::from_utf8_lossy(rest);
    let variables = |is_strict| {
        let mut variables = Variables::new(is_strict, false);
        let inline = BTreeMap::from([("v".to_owned(), value.to_owned()), ("empty".to_owned(), String::new())]);
        assert_eq!(variables.add_inline("spec.postBuild.substitute", &inline), Ok(()));
        variables
    };
    let (strict, lax) = (text(&from, &variables(true)), text(&from, &variables(false)));
    if let Ok((made, _)) = &strict {
        assert!(made.len() <= TEXT_BYTES + from.len());
        assert_eq!(Ok(made), lax.as_ref().map(|(made, _)| made), "what is strict is lax");
    }
    assert!(from.contains('$') || strict.is_ok_and(|(made, _)| made == from), "what names no variable stays");
    let escaped = from.replace('$', "$$");
    assert_eq!(text(&escaped, &variables(true)).map(|(made, _)| made).as_deref(), Ok(&*from));
}
