//! The signer against signatures that AWS published: requests of the "Signature Version 4 Test Suite" (the names are its own),
//! all of one moment, with the suite's example keys.

use super::*;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// The suite's example of a session token.
const SESSION: &str = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";

fn keys(session: Option<&str>) -> Keys {
    Keys { id: "AKIDEXAMPLE".to_owned(), secret: SECRET.to_owned(), session: session.map(str::to_owned) }
}

struct Case<'a> {
    name: &'a str,
    method: &'a str,
    headers: &'a [(&'a str, &'a str)],
    body: &'a str,
    session: Option<&'a str>,
    signature: &'a str,
}

const GET: Case<'static> = Case { name: "", method: "GET", headers: &[], body: "", session: None, signature: "" };
const POST: Case<'static> = Case { method: "POST", ..GET };

#[track_caller]
fn check(case: &Case<'_>) {
    let mut headers = case.headers.to_vec();
    headers.push(("Host", "example.amazonaws.com"));
    let request = Unsigned { method: case.method, path: "/", headers: &headers, body: case.body.as_bytes() };
    let scope = Scope { region: "us-east-1", service: "service" };
    let now = "2015-08-30T12:36:00Z".parse().unwrap();
    let signed = sign(&request, &keys(case.session), &scope, now);
    assert_eq!(signed.date, "20150830T123600Z");
    let mut names: Vec<String> = headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.push("x-amz-date".to_owned());
    names.extend(case.session.map(|_| "x-amz-security-token".to_owned()));
    names.sort();
    let expected = format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders={}, Signature={}",
        names.join(";"),
        case.signature
    );
    assert_eq!(signed.authorization, expected, "{}", case.name);
}

const CASES: [Case<'static>; 7] = [
    Case { name: "get-vanilla", signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31", ..GET },
    Case {
        name: "get-header-value-trim",
        headers: &[("My-Header1", " value1"), ("My-Header2", " \"a   b   c\"")],
        signature: "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
        ..GET
    },
    Case {
        name: "post-vanilla",
        signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        ..POST
    },
    Case {
        name: "post-header-key-sort",
        headers: &[("My-Header1", "value1")],
        signature: "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
        ..POST
    },
    Case {
        name: "post-header-value-case",
        headers: &[("My-Header1", "VALUE1")],
        signature: "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
        ..POST
    },
    Case {
        name: "post-x-www-form-urlencoded",
        headers: &[("Content-Type", "application/x-www-form-urlencoded")],
        body: "Param1=value1",
        signature: "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ..POST
    },
    Case {
        name: "post-sts-header-before",
        session: Some(SESSION),
        signature: "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
        ..POST
    },
];

#[test]
fn the_published_signatures() {
    CASES.iter().for_each(check);
}

/// The derived key that the AWS General Reference shows for its example ("Calculate the signature").
#[test]
fn the_published_key() {
    let key = key(SECRET, "20150830", &Scope { region: "us-east-1", service: "iam" });
    assert_eq!(hex::encode(key), "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9");
}
