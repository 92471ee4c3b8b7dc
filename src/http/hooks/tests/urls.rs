//! Names of repositories in their many spellings.

use super::super::subject::Subject;
use super::*;

/// Whether a policy's image is what a sender names.
#[track_caller]
fn check(ours: &str, named: &[Named], expected: bool) {
    let event = Event { names: Some(named.to_vec()), ..Event::default() };
    assert_eq!(Subject::Image(ours.parse().unwrap()).is_of(&event), expected, "{ours} {named:?}");
}

fn named(host: Option<&str>, path: &str, below: bool) -> Named {
    Named { host: host.map(str::to_owned), path: path.to_owned(), below }
}

#[test]
fn hosts_and_paths() {
    for (ours, host, path, below, expected) in [
        ("nginx", Some("docker.io"), "library/nginx", false, true),
        ("docker.io/acme/app", Some("index.docker.io"), "acme/app", false, true),
        ("r.example.com/acme/app", Some("R.example.com:443"), "Acme/App", false, true),
        ("r.example.com/acme/app", Some("r.example.com:5000"), "acme/app", false, false),
        ("r.example.com/acme/app", None, "acme/app", false, true),
        ("r.example.com/acme/app", None, "app", false, false),
        ("r.example.com/acme/app", None, "app", true, true),
        ("r.example.com/docker/acme/app", None, "app", true, false),
        ("r.example.com/acme/app", None, "acme/app/part", true, false),
        ("1234.dkr.ecr.eu-west-1.amazonaws.com/app", Some("1234.dkr.ecr.eu-west-1.amazonaws.com"), "app", false, true),
        (
            "1234.dkr.ecr-fips.us-east-1.amazonaws.com/app",
            Some("1234.dkr.ecr.us-east-1.amazonaws.com"),
            "app",
            false,
            true,
        ),
        ("1234.dkr-ecr.us-east-1.on.aws/app", Some("1234.dkr.ecr.us-east-1.amazonaws.com"), "app", false, true),
        (
            "1234.dkr.ecr.cn-north-1.amazonaws.com.cn/app",
            Some("1234.dkr.ecr.cn-north-1.amazonaws.com"),
            "app",
            false,
            true,
        ),
        ("1234.dkr.ecr.us-east-1.amazonaws.com/app", Some("1234.dkr.ecr.us-east-2.amazonaws.com"), "app", false, false),
        ("1234.dkr.ecr.us-east-1.example.com/app", Some("1234.dkr.ecr.us-east-1.amazonaws.com"), "app", false, false),
    ] {
        check(ours, &[named(host, path, below)], expected);
    }
}

#[test]
fn package_urls() {
    for (ours, url, expected) in [
        ("r.example.com/acme/app", "pkg:oci/app@sha256%3Aabc?repository_url=r.example.com/acme/app&tag=1", true),
        (
            "r.example.com/acme/app",
            "pkg:oci/app@sha256%3Aabc?tag=1&repository_url=https%3A%2F%2Fr.example.com%2Facme%2Fapp",
            true,
        ),
        ("r.example.com/acme/app", "pkg:oci/app@sha256:abc?repository_url=r.example.com/acme", true),
        ("r.example.com/acme/app", "pkg:oci/app?repository_url=r.example.com/acme/other", false),
        ("r.example.com/app", "pkg:oci/app@sha256%3Aabc", true),
        ("r.example.com/acme/app", "pkg:oci/app@sha256%3Aabc", false),
        ("nginx", "pkg:docker/nginx@1.27", true),
        ("acme/app", "pkg:docker/acme/app@sha256%3Aabc", true),
        ("gcr.io/acme/app", "pkg:docker/acme/app@1?repository_url=gcr.io", true),
        ("acme/app", "pkg:npm/acme/app@1", false),
        ("acme/app", "acme/app", false),
        ("acme/app", "pkg:oci", false),
        ("acme/app", "pkg:oci/@1?repository_url=", false),
    ] {
        let head = headers([("ce-type", "dev.cdevents.artifact.published.0.2.0"), ("ce-subject", url)]);
        let events = parse(Cdevents, &head, b"{}").unwrap();
        let target = Subject::Image(ours.parse().unwrap());
        assert_eq!(events.iter().any(|event| target.is_of(event)), expected, "{ours} {url}");
    }
}
