//! Comments that are markers, and why others are not.

use super::*;

#[track_caller]
fn check(comment: &str, expected: Result<(&str, &str, Field), &str>) {
    match (parse(comment), expected) {
        (Ok(marker), Ok((namespace, name, field))) => {
            assert_eq!(marker, Marker { namespace: namespace.into(), name: name.into(), field }, "{comment}");
        }
        (Err(reason), Err(part)) => assert!(reason.contains(part), "{comment}: {reason}"),
        (got, expected) => panic!("{comment}: {got:?} instead of {expected:?}"),
    }
}

#[test]
fn markers_as_in_flux() {
    for (comment, field) in [
        (r#" {"$imagepolicy": "apps:web"}"#, Field::Image),
        (r#"{"$imagepolicy":"apps:web:tag"}"#, Field::Tag),
        (r##"## { "$imagepolicy" : "apps:web:name" }  "##, Field::Name),
        ("\t{\"x\": \"y\", \"$imagepolicy\": \"apps:web:digest\"}", Field::Digest),
    ] {
        check(comment, Ok(("apps", "web", field)));
    }
}

#[test]
fn comments_that_are_no_marker() {
    for (comment, reason) in [
        (r#" pinned {"$imagepolicy": "apps:web"}"#, "words before"),
        (r#" {"$imagepolicy": "apps:web"} # now"#, "words after"),
        (r#" {"$imagepolicy": "apps:web"}}"#, "words after"),
        (r#" {"$imagepolicy": "a:b", "$imagepolicy": "a:c"}"#, "two markers"),
        (r" {'$imagepolicy': 'apps:web'}", "no JSON: key must be a string"),
        (r#" {"$imagepolicy": "apps:web""#, "no JSON"),
        (r#" {"$imagepolicy": "apps:web", "n": 1}"#, "\"n\" is no text"),
        (r#" {"$imagepolicy": {"a": "b"}}"#, "is no text"),
        (r#" {"a": "$imagepolicy"}"#, "no key"),
        (r#" {"$imagepolicy": "web"}"#, "names no policy"),
        (r#" {"$imagepolicy": ""}"#, "names no policy"),
        (r#" {"$imagepolicy": ":web"}"#, "names no policy"),
        (r#" {"$imagepolicy": "apps: web"}"#, "names no policy"),
        (r#" {"$imagepolicy": "Apps:web"}"#, "names no policy"),
        (r#" {"$imagepolicy": "apps:web:image"}"#, "suffix \"image\""),
        (r#" {"$imagepolicy": "apps:web:tag:x"}"#, "suffix \"tag:x\""),
        (r#" {"$imagepolicy": "apps:web:Tag"}"#, "suffix \"Tag\""),
    ] {
        check(comment, Err(reason));
    }
}
