//! What is and what is not a tag, a digest, a repository, a reference.

use super::*;

#[test]
fn tags() {
    for good in ["1.0.0", "latest", "_x", "v1-rc.1", &"a".repeat(128)] {
        assert_eq!(good.parse::<Tag>().unwrap().as_str(), good);
    }
    for bad in ["", ".x", "-x", "a b", "a:b", "a\nb", "a\u{202e}b", "1.0.0+build", "${x}", "$(id)", &"a".repeat(129)] {
        assert!(bad.parse::<Tag>().is_err(), "{bad:?}");
    }
}

#[test]
fn digests() {
    assert!(format!("sha256:{}", "0".repeat(64)).parse::<Digest>().is_ok());
    for bad in ["sha256:00", "md5:00", &format!("sha256:{}", "G".repeat(64)), &"0".repeat(64)] {
        assert!(bad.parse::<Digest>().is_err(), "{bad:?}");
    }
}

#[test]
fn repositories() {
    for (name, host, path) in [
        ("nginx", "docker.io", "library/nginx"),
        ("acme/app", "docker.io", "acme/app"),
        ("docker.io/nginx", "docker.io", "library/nginx"),
        ("index.docker.io/acme/app", "docker.io", "acme/app"),
        ("index.docker.io/nginx", "docker.io", "library/nginx"),
        ("localhost/app", "localhost", "app"),
        ("127.0.0.1:5000/a/b/c", "127.0.0.1:5000", "a/b/c"),
        ("registry.example.com/acme/my-app__x", "registry.example.com", "acme/my-app__x"),
    ] {
        let repository: Repository = name.parse().unwrap();
        assert_eq!((repository.host(), repository.path()), (host, path), "{name}");
    }
    for bad in [
        "",
        "https://x.io/a",
        "x.io/a:1",
        "x.io/a@sha256:0",
        "x.io/A",
        "x.io/a//b",
        "x.io/../b",
        "x.io:99999/a",
        "a b",
        "x.io/a_._b",
        "-x.io/a",
        "/a",
        "a/",
        "Acme/app",
        "x.io/",
        "[::1]:5000/a",
    ] {
        assert!(bad.parse::<Repository>().is_err(), "{bad:?}");
    }
}

#[test]
fn references() {
    let pinned = format!("127.0.0.1:5000/app:1.0@sha256:{}", "a".repeat(64));
    for good in ["app:1.0", "127.0.0.1:5000/app:1.0", &pinned] {
        assert_eq!(good.parse::<Image>().unwrap().to_string(), good);
    }
    for bad in ["app", "127.0.0.1:5000/app", "app:", ":1.0", "app:1.0@latest"] {
        assert!(bad.parse::<Image>().is_err(), "{bad:?}");
    }
}
