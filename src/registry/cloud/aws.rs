//! AWS: from an identity's keys to a login at ECR. In: the registry's host and a subject. Out: user and password for twelve hours.
//! Must never sign for a host that is not ECR's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta};
use reqwest::{Method, Url};
use serde::Deserialize;

use super::cache::Login;
use super::call::Call;
use super::sigv4::{self, Keys, Scope, Unsigned};
use super::{Error, Flight, local};
use crate::registry::Credential;
use crate::registry::wire::authority;

mod keys;

/// The audience of STS.
pub(super) const AUDIENCE: &str = "sts.amazonaws.com";
/// The annotation that names a ServiceAccount's role.
pub(super) const ROLE: &str = "eks.amazonaws.com/role-arn";
/// For messages.
pub(super) const HOSTS: &str = "<account>.dkr.ecr.<region>.amazonaws.com and public.ecr.aws";
/// For how long an authorization token is valid that does not say so.
const TOKEN_HOURS: i64 = 1;

/// Which ECR, and in which region.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    region: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Private { fips: bool, dual_stack: bool },
    Public,
}

impl Place {
    /// Reads `<account>.dkr.ecr[-fips].<region>.amazonaws.com[.cn]`, its dual-stack form `<account>.dkr-ecr[-fips].<region>.on.aws`,
    /// and `public.ecr.aws`, which is managed in one region only (ECR user guide, "Making requests").
    pub(super) fn of(host: &str) -> Option<Self> {
        if host == "public.ecr.aws" {
            return Some(Self { region: "us-east-1".to_owned(), kind: Kind::Public });
        }
        let (account, rest) = host.split_once('.')?;
        let (service, region, dual_stack) = if let Some(rest) = rest.strip_suffix(".on.aws") {
            let (service, region) = rest.split_once('.')?;
            (service.strip_prefix("dkr-")?, region, true)
        } else {
            let domain = if rest.ends_with(".cn") { ".amazonaws.com.cn" } else { ".amazonaws.com" };
            let (service, region) = rest.strip_suffix(domain)?.strip_prefix("dkr.")?.split_once('.')?;
            if is_china(region) != domain.ends_with(".cn") {
                return None;
            }
            (service, region, false)
        };
        let fips = match service {
            "ecr" => false,
            "ecr-fips" => true,
            _ => return None,
        };
        let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
        (is_account && is_region(region))
            .then(|| Self { region: region.to_owned(), kind: Kind::Private { fips, dual_stack } })
    }

    /// The API's address (AWS General Reference, "Amazon ECR endpoints").
    pub(super) fn api(&self) -> String {
        let region = &self.region;
        let domain = domain(region);
        match self.kind {
            Kind::Public => format!("https://api.ecr-public.{region}.{domain}"),
            Kind::Private { fips: false, dual_stack: false } => format!("https://api.ecr.{region}.{domain}"),
            Kind::Private { fips: true, dual_stack: false } => format!("https://ecr-fips.{region}.{domain}"),
            Kind::Private { fips: false, dual_stack: true } => format!("https://ecr.{region}.api.aws"),
            Kind::Private { fips: true, dual_stack: true } => format!("https://ecr-fips.{region}.api.aws"),
        }
    }
}

fn is_region(text: &str) -> bool {
    text.len() <= 32
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.ends_with(|c: char| c.is_ascii_digit())
        && text.contains('-')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_china(region: &str) -> bool {
    region.starts_with("cn-")
}

fn domain(region: &str) -> &'static str {
    if is_china(region) { "amazonaws.com.cn" } else { "amazonaws.com" }
}

/// From nothing to a login: keys, then ECR's `GetAuthorizationToken`.
pub(super) async fn login<F: Future<Output = Result<String, String>>>(
    flight: &Flight<'_>,
    place: &Place,
    token: impl FnOnce(String) -> F,
) -> Result<Login, Error> {
    let keys = keys::of(flight, place, token).await?;
    let variable = match place.kind {
        Kind::Private { .. } => "AWS_ENDPOINT_URL_ECR",
        Kind::Public => "AWS_ENDPOINT_URL_ECR_PUBLIC",
    };
    let url = flight.environment().endpoint(variable, &place.api(), "/")?;
    let answer = flight.send(request(url, place, &keys)?).await?;

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Body {
        authorization_data: Data,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Data {
        Private(Vec<Entry>),
        Public(Entry),
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Entry {
        authorization_token: String,
        expires_at: Option<f64>,
    }
    let body: Body = answer.json("an authorizationToken")?;
    let entry = match body.authorization_data {
        Data::Private(entries) => {
            entries.into_iter().next().ok_or_else(|| answer.malformed("it holds no authorizationToken"))?
        }
        Data::Public(entry) => entry,
    };
    let unfit = || answer.malformed("its authorizationToken is not user:password in base64");
    let decoded = STANDARD.decode(entry.authorization_token.trim()).map_err(|_| unfit())?;
    let decoded = String::from_utf8(decoded).map_err(|_| unfit())?;
    let (user, password) = decoded.split_once(':').ok_or_else(unfit)?;
    let (user, password) = (answer.token("the user", user)?, answer.token("the password", password)?);
    let ends = match entry.expires_at {
        Some(seconds) => {
            DateTime::from_timestamp(seconds as i64, 0).ok_or_else(|| answer.malformed("its expiresAt is no time"))?
        }
        None => local::now().wall + TimeDelta::hours(TOKEN_HOURS),
    };
    Ok(Login { credential: Credential::password(user, password), ends, step: answer.step })
}

/// `GetAuthorizationToken` of AWS JSON 1.1, signed.
fn request(url: Url, place: &Place, keys: &Keys) -> Result<Call, Error> {
    const TYPE: &str = "application/x-amz-json-1.1";
    const BODY: &str = "{}";
    let (service, target) = match place.kind {
        Kind::Private { .. } => ("ecr", "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"),
        Kind::Public => ("ecr-public", "SpencerFrontendService.GetAuthorizationToken"),
    };
    let host = authority(&url);
    let unsigned = Unsigned {
        method: "POST",
        path: url.path(),
        headers: &[("host", &host), ("content-type", TYPE), ("x-amz-target", target)],
        body: BODY.as_bytes(),
    };
    let scope = Scope { region: &place.region, service };
    let signed = sigv4::sign(&unsigned, keys, &scope, local::now().wall);
    let call = Call::new(Method::POST, url, "GetAuthorizationToken")
        .body(TYPE, BODY.to_owned())
        .header("x-amz-target", target)
        .header("x-amz-date", &signed.date)
        .secret_header("authorization", &signed.authorization)?
        .hide(&keys.secret);
    match &keys.session {
        Some(token) => call.secret_header("x-amz-security-token", token),
        None => Ok(call),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(host: &str, expected: Option<(&str, &str)>) {
        let found = Place::of(host);
        let found = found.as_ref().map(|place| (place.region.as_str(), place.api()));
        assert_eq!(found, expected.map(|(region, api)| (region, api.to_owned())), "{host}");
    }

    /// The addresses of "Amazon ECR endpoints and quotas" in the AWS General Reference.
    #[test]
    fn the_registry_names_region_and_api() {
        check(
            "123456789012.dkr.ecr.eu-central-1.amazonaws.com",
            Some(("eu-central-1", "https://api.ecr.eu-central-1.amazonaws.com")),
        );
        check(
            "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com",
            Some(("us-gov-west-1", "https://ecr-fips.us-gov-west-1.amazonaws.com")),
        );
        check(
            "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
            Some(("cn-north-1", "https://api.ecr.cn-north-1.amazonaws.com.cn")),
        );
        check("123456789012.dkr-ecr.us-east-2.on.aws", Some(("us-east-2", "https://ecr.us-east-2.api.aws")));
        check("123456789012.dkr-ecr-fips.us-east-2.on.aws", Some(("us-east-2", "https://ecr-fips.us-east-2.api.aws")));
        check("public.ecr.aws", Some(("us-east-1", "https://api.ecr-public.us-east-1.amazonaws.com")));
    }

    #[test]
    fn what_only_looks_like_a_registry() {
        for host in [
            "example.com",
            "amazonaws.com",
            "123456789012.dkr.ecr.eu-central-1.amazonaws.com.example.com",
            "123456789012.dkr.ecr.eu-central-1.amazonaws.com:443",
            "123456789012.dkr.ecr.eu-central-1.example.com",
            "123456789012.dkr.ecr.evil.eu-central-1.amazonaws.com",
            "123456789012.dkr.ecr..amazonaws.com",
            "123456789012.dkr.ecr.evil.amazonaws.com",
            "123456789012.dkr.s3.eu-central-1.amazonaws.com",
            "123456789012.dkr.ecr.cn-north-1.amazonaws.com",
            "123456789012.dkr.ecr.eu-central-1.amazonaws.com.cn",
            "12345.dkr.ecr.eu-central-1.amazonaws.com",
            "a23456789012.dkr.ecr.eu-central-1.amazonaws.com",
            "123456789012.dkr.ecr.us-east-2.on.aws",
            "public.ecr.aws.example.com",
        ] {
            check(host, None);
        }
    }
}
