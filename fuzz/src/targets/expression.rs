//! `healthCheckExprs` and `readyExpr`. Input: an expression on the first line, an object as JSON behind it.

use serde_json::Value;
use tagboat::sync::cel::Expression;

use super::first_line;

const VARIABLES: [&str; 3] = ["status", "spec", "data"];

pub fn run(input: &[u8]) {
    let (text, rest) = first_line(input);
    let object: Value = serde_json::from_slice(rest).unwrap_or_default();
    let expression = match Expression::compile(text, &VARIABLES) {
        Ok(expression) => expression,
        Err(mistake) => {
            assert!(mistake.line >= 1 && mistake.column >= 1, "{mistake}: {text}");
            return;
        }
    };
    let scope: Vec<(&str, &Value)> = VARIABLES.iter().filter_map(|name| Some((*name, object.get(*name)?))).collect();
    // It ends, in words that hold no control characters, and says the same again.
    let said = expression.holds(&scope);
    assert!(!said.as_ref().err().is_some_and(|trouble| trouble.to_string().chars().any(char::is_control)));
    assert_eq!(expression.holds(&scope), said);
    let again = Expression::compile(expression.text(), &VARIABLES).map(|again| again.holds(&scope));
    assert_eq!(again, Ok(said));
}
