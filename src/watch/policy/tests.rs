//! Specs that are policies, and specs that are not.

use super::*;

fn parse(yaml: &str) -> Result<Policy, String> {
    let spec: ImagePolicySpec = serde_yaml::from_str(yaml).unwrap();
    Policy::parse(&spec).map_err(|invalid| invalid.to_string())
}

#[test]
fn a_policy_keeps_image_and_interval() {
    let policy =
        parse("{image: registry.example.com/acme/app, interval: 1s, policy: {semver: {range: ' >=1.0.0 '}}}").unwrap();
    assert_eq!((policy.image.as_str(), policy.interval), ("registry.example.com/acme/app", Duration::from_secs(1)));
    assert!(matches!(policy.ranking, Ranking::Semver { text, .. } if &*text == ">=1.0.0"));
}

#[test]
fn an_invalid_policy_names_its_field() {
    for (yaml, message) in [
        (
            "{image: app, policy: {}}",
            "spec.policy: none is set: set exactly one of semver, numerical, alphabetical, newestBuild and digestOf",
        ),
        (
            "{image: app, policy: {numerical: {}, alphabetical: {}}}",
            "spec.policy: more than one is set: set exactly one of semver, numerical, alphabetical, newestBuild and digestOf",
        ),
        (
            "{image: app, policy: {semver: {range: '>=1.0.0 <'}}}",
            "spec.policy.semver.range: \">=1.0.0 <\" is no range: at character 10: a version is missing before the end",
        ),
        ("{image: app, interval: 500ms, policy: {numerical: {}}}", "spec.interval: 500ms is shorter than 1s"),
        (
            "{image: 'app:1.0', policy: {numerical: {}}}",
            "spec.image: \"app:1.0\" is no image name: leave out the tag and the digest",
        ),
        (
            "{image: app, filterTags: {pattern: '('}, policy: {numerical: {}}}",
            "spec.filterTags.pattern: a parenthesis is not closed",
        ),
        (
            "{image: app, filterTags: {pattern: a, extract: $x}, policy: {numerical: {}}}",
            "spec.filterTags.extract: the pattern has no group named \"x\"",
        ),
    ] {
        assert_eq!(parse(yaml).map(|_| ()), Err(message.to_owned()), "{yaml}");
    }
}
