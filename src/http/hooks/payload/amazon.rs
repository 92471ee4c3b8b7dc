//! Amazon ECR through EventBridge: the event as it is, or turned into a CloudEvent (ECR documentation, "Amazon ECR events and EventBridge").

use axum::http::HeaderMap;
use serde::Deserialize;

use super::shape::{Text, Time, is_untagged};
use super::{Event, Malformed, Named, cloud_events};

#[derive(Deserialize)]
struct Native {
    #[serde(default)]
    id: Text,
    #[serde(default)]
    time: Time,
    #[serde(default)]
    account: Text,
    #[serde(default)]
    region: Text,
    #[serde(default, rename = "detail-type")]
    detail_type: Text,
    detail: Option<Detail>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Detail {
    #[serde(default)]
    action_type: Text,
    #[serde(default)]
    result: Text,
    #[serde(default)]
    repository_name: Text,
    #[serde(default)]
    image_tag: Text,
}

pub fn events(headers: &HeaderMap, body: &[u8]) -> Result<Vec<Event>, Malformed> {
    if cloud_events::head(headers).is_some() {
        return cloud_events::events(headers, body);
    }
    let native: Native = serde_json::from_slice(body)?;
    if native.detail_type.get().is_none() {
        return cloud_events::events(headers, body);
    }
    Ok(event(&native).into_iter().collect())
}

fn event(native: &Native) -> Option<Event> {
    let detail = native.detail.as_ref()?;
    if native.detail_type.get()? != "ECR Image Action" || detail.result.get()? != "SUCCESS" {
        return None;
    }
    let counts = match detail.action_type.get()? {
        "PUSH" => !is_untagged(detail.image_tag.get()),
        "DELETE" => true,
        _ => false,
    };
    let path = detail.repository_name.get()?;
    let named = match (native.account.get(), native.region.get()) {
        (Some(account), Some(region)) => Named::at(&host(account, region), path),
        _ => Named::anywhere(path),
    };
    counts.then(|| Event::of(named).marked(native.id.get(), native.time.0))
}

/// The one name by which the hosts of an account's registry in a region are compared.
pub fn host(account: &str, region: &str) -> String {
    format!("{account}.dkr.ecr.{region}.amazonaws.com")
}

/// Account and region of an ECR host: `<account>.dkr.ecr[-fips].<region>.amazonaws.com[.cn]`, or the dual-stack
/// `<account>.dkr-ecr[-fips].<region>.on.aws` and `.on.amazonwebservices.com.cn`.
pub fn account_and_region(host: &str) -> Option<(&str, &str)> {
    let (account, rest) = host.split_once('.')?;
    let rest = ["dkr.ecr.", "dkr.ecr-fips.", "dkr-ecr.", "dkr-ecr-fips."].iter().find_map(|p| rest.strip_prefix(p))?;
    let (region, domain) = rest.split_once('.')?;
    let is_ours = ["amazonaws.com", "amazonaws.com.cn", "on.aws", "on.amazonwebservices.com.cn"].contains(&domain);
    is_ours.then_some((account, region))
}

/// The registry of `arn:aws:ecr:<region>:<account>:repository/…`, as a CloudEvent's source has it; the account may be said elsewhere.
pub fn host_of_source(source: &str, account: Option<&str>) -> Option<String> {
    let mut parts = source.split(':');
    let service = parts.by_ref().nth(2)?;
    let (region, owner) = (parts.next()?, parts.next()?);
    (service == "ecr" && !region.is_empty()).then(|| host(account.unwrap_or(owner), region))
}
