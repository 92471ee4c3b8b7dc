//! AWS: whose keys. In: a subject. Out: keys, temporary where possible: from a ServiceAccount's role, or for the controller from
//! its environment, its role, its EKS Pod Identity or its node, in the order of AWS's own SDKs. Must never mix subjects.

use reqwest::Method;
use serde::Deserialize;

use super::super::call::{Answer, Call};
use super::super::sigv4::Keys;
use super::super::{Error, Flight, address, local, xml};
use super::{AUDIENCE, Place, ROLE, domain, is_region};

/// The hosts of EKS Pod Identity and of ECS that may be asked over plain HTTP (AWS SDK reference, "Container credential provider").
const NEAR: [&str; 4] = ["169.254.170.23", "[fd00:ec2::23]", "169.254.170.2", "127.0.0.1"];

/// The keys of this subject, for use in this place.
pub(super) async fn of<F: Future<Output = Result<String, String>>>(
    flight: &Flight<'_>,
    place: &Place,
    token: impl FnOnce(String) -> F,
) -> Result<Keys, Error> {
    if flight.subject.is_controller() {
        return of_controller(flight, place).await;
    }
    let key = &flight.subject.key;
    let role = flight.subject.annotation(ROLE).ok_or_else(|| {
        Error::Configuration(format!(
            "serviceaccount {key} lacks the annotation {ROLE}: name the role that may read the registry"
        ))
    })?;
    let role = checked_role(role, &format!("the annotation {ROLE} of serviceaccount {key}"))?;
    let token = flight.token(token, AUDIENCE.to_owned()).await?;
    assume(flight, place, role, &session_name(key), &token).await
}

async fn of_controller(flight: &Flight<'_>, place: &Place) -> Result<Keys, Error> {
    let environment = flight.environment();
    if let (Some(id), Some(secret)) = (environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")) {
        let session = environment.get("AWS_SESSION_TOKEN").map(str::to_owned);
        return Ok(Keys { id: id.to_owned(), secret: secret.to_owned(), session });
    }
    if let (Some(role), Some(path)) = (environment.get("AWS_ROLE_ARN"), environment.get("AWS_WEB_IDENTITY_TOKEN_FILE"))
    {
        let role = checked_role(role, "AWS_ROLE_ARN")?;
        let token = local::file("AWS_WEB_IDENTITY_TOKEN_FILE", path)?;
        let name = session_name(environment.get("AWS_ROLE_SESSION_NAME").unwrap_or("controller"));
        return assume(flight, place, role, &name, &token).await;
    }
    if let Some(uri) = environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI") {
        return of_pod(flight, uri).await;
    }
    if environment.get("AWS_EC2_METADATA_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        let nothing =
            "the controller has no identity in AWS: give its serviceaccount a role, or name one in serviceAccountName";
        return Err(Error::Configuration(nothing.to_owned()));
    }
    of_node(flight).await
}

/// `arn:<partition>:iam::<account>:role/<path and name>`
fn checked_role<'a>(arn: &'a str, what: &str) -> Result<&'a str, Error> {
    let mut parts = arn.splitn(6, ':');
    let mut next = || parts.next().unwrap_or_default();
    let (arn_, partition, service, region, account, name) = (next(), next(), next(), next(), next(), next());
    let is_role = arn_ == "arn"
        && partition.starts_with("aws")
        && service == "iam"
        && region.is_empty()
        && account.len() == 12
        && account.bytes().all(|b| b.is_ascii_digit())
        && name.starts_with("role/")
        && arn.len() <= 2048
        && arn.bytes().all(|b| b.is_ascii_graphic());
    if is_role {
        Ok(arn)
    } else {
        Err(Error::Configuration(format!("{what} is no role: write arn:aws:iam::<account>:role/<name>")))
    }
}

/// What CloudTrail shows: 2 to 64 characters of `[\w+=,.@-]`.
fn session_name(key: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() || "_+=,.@-".contains(c) { c } else { '.' };
    format!("tagboat.{key}").chars().map(fit).take(64).collect()
}

/// STS `AssumeRoleWithWebIdentity`: unsigned, answered in XML. The token goes into the body, never into a URL.
async fn assume(flight: &Flight<'_>, place: &Place, role: &str, session: &str, token: &str) -> Result<Keys, Error> {
    let sts = sts(flight.environment().get("AWS_REGION"), &place.region);
    let url = flight.environment().endpoint("AWS_ENDPOINT_URL_STS", &sts, "/")?;
    let form = [
        ("Action", "AssumeRoleWithWebIdentity"),
        ("Version", "2011-06-15"),
        ("RoleArn", role),
        ("RoleSessionName", session),
        ("WebIdentityToken", token),
    ];
    let answer = flight.send(Call::form(url, "AssumeRoleWithWebIdentity", &form).hide(token)).await?;
    let text = answer.text()?;
    let part = |name| {
        let found = xml::text(text, &["Credentials", name]).map_err(|reason| answer.malformed(reason))?;
        let found = found.ok_or_else(|| answer.malformed(format!("it holds no Credentials/{name}")))?;
        answer.token(name, &found)
    };
    Ok(Keys { id: part("AccessKeyId")?, secret: part("SecretAccessKey")?, session: Some(part("SessionToken")?) })
}

/// STS of the region that we are in, as that is near and reachable, else of the registry's region.
fn sts(own: Option<&str>, registrys: &str) -> String {
    let own = own.filter(|own| is_region(own) && partition(own) == partition(registrys));
    let region = own.unwrap_or(registrys);
    format!("https://sts.{region}.{}", domain(region))
}

/// Keys of one partition are unknown in another.
fn partition(region: &str) -> &str {
    ["cn-", "us-gov-", "us-iso"].into_iter().find(|prefix| region.starts_with(prefix)).unwrap_or_default()
}

/// EKS Pod Identity, or another container's agent.
async fn of_pod(flight: &Flight<'_>, uri: &str) -> Result<Keys, Error> {
    const URI: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
    const FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
    let url = address(URI, uri)?;
    if url.scheme() == "http" && !url.host_str().is_some_and(|host| NEAR.contains(&host)) {
        return Err(Error::Configuration(format!("{URI} is plain HTTP to a host that is not the pod's own agent")));
    }
    let mut call = Call::new(Method::GET, url, "the pod's credentials");
    if let Some(path) = flight.environment().get(FILE) {
        call = call.secret_header("authorization", &local::file(FILE, path)?)?;
    }
    let answer = flight.send(call).await?;
    read(&answer)
}

/// The role of the node, by version 2 of the instance metadata service (EC2 user guide).
async fn of_node(flight: &Flight<'_>) -> Result<Keys, Error> {
    const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
    let url =
        |path: &str| flight.environment().endpoint("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254", path);
    let ask = Call::new(Method::PUT, url("/latest/api/token")?, "the node's metadata token");
    let answer = flight.send(ask.header("x-aws-ec2-metadata-token-ttl-seconds", "60")).await?;
    let token = answer.token("the token", answer.text()?.trim())?;
    let get = |path: &str, action| {
        Call::new(Method::GET, url(path)?, action).secret_header("x-aws-ec2-metadata-token", &token)
    };

    let answer = flight.send(get(ROLES, "the node's role")?).await?;
    let role = answer.text()?.lines().next().unwrap_or_default().trim();
    if role.is_empty() || role.len() > 128 || !role.chars().all(|c| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c))
    {
        return Err(answer.malformed("it names no role"));
    }
    let answer = flight.send(get(&format!("{ROLES}{role}"), "the keys of the node's role")?).await?;
    read(&answer)
}

fn read(answer: &Answer) -> Result<Keys, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Body {
        access_key_id: String,
        secret_access_key: String,
        token: String,
    }
    let body: Body = answer.json("AccessKeyId, SecretAccessKey and Token")?;
    Ok(Keys {
        id: answer.token("AccessKeyId", &body.access_key_id)?,
        secret: answer.token("SecretAccessKey", &body.secret_access_key)?,
        session: Some(answer.token("Token", &body.token)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(own: Option<&str>, registrys: &str, expected: &str) {
        assert_eq!(sts(own, registrys), expected);
    }

    /// The addresses of "AWS Security Token Service endpoints" in the AWS General Reference.
    #[test]
    fn sts_is_asked_nearby_but_in_the_same_partition() {
        check(None, "eu-central-1", "https://sts.eu-central-1.amazonaws.com");
        check(Some("us-east-1"), "eu-central-1", "https://sts.us-east-1.amazonaws.com");
        check(Some("us-east-1"), "cn-north-1", "https://sts.cn-north-1.amazonaws.com.cn");
        check(Some("cn-northwest-1"), "cn-north-1", "https://sts.cn-northwest-1.amazonaws.com.cn");
        check(Some("us-east-1"), "us-gov-west-1", "https://sts.us-gov-west-1.amazonaws.com");
        check(Some("evil.example.com/"), "eu-central-1", "https://sts.eu-central-1.amazonaws.com");
    }

    #[test]
    fn a_session_has_a_name_that_aws_takes() {
        assert_eq!(session_name("shop/scanner"), "tagboat.shop.scanner");
        assert_eq!(session_name(&"a".repeat(300)).len(), 64);
    }
}
