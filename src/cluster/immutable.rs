//! The server's answer to a change → whether all that is wrong with it is that fields can't be changed.

use kube::core::Status;

/// What the API server and rules in definitions say of fields that can't be changed (Kubernetes: `apimachinery` and `pkg/apis`
/// validation). A cause in other words is another fault, and then nothing is known to be immutable.
const WORDS: [&str; 8] = [
    "is immutable",
    "immutable field",
    "may not change once set",
    "may not be changed",
    "cannot change roleref",
    "cannot be changed",
    "updates to statefulset spec for fields other than",
    "pod updates may not change fields other than",
];

/// Whether a refusal has no other cause than fields that can't be changed.
pub(super) fn is_immutable(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let mut causes = causes.map(|cause| cause.message.to_ascii_lowercase()).peekable();
    status.code == 422 && causes.peek().is_some() && causes.all(|cause| WORDS.iter().any(|word| cause.contains(word)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(code: u16, causes: &[&str], expected: bool) {
        let causes: Vec<_> =
            causes.iter().map(|message| json!({"reason": "FieldValueInvalid", "message": message})).collect();
        let status = json!({"status": "Failure", "code": code, "message": "m", "reason": "Invalid", "details": {"causes": causes}});
        let status: Status = serde_json::from_value(status).unwrap();
        assert_eq!(is_immutable(&status), expected, "{causes:?}");
    }

    #[test]
    fn only_when_nothing_else_is_wrong() {
        check(422, &["Invalid value: {}: field is immutable"], true);
        check(422, &["cannot change roleRef"], true);
        check(422, &["Invalid value: []: may not change once set", "Value is immutable"], true);
        check(422, &["field is immutable", "must be between 1 and 65535"], false);
        check(422, &["must be between 1 and 65535"], false);
        check(422, &[], false);
        check(409, &["field is immutable"], false);
    }
}
