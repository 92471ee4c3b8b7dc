//! What a controller holds that knows a list of very many tags. A real registry takes minutes to be filled with so many, so a small
//! server of the bench lists them, a thousand a page as the real ones do; it is no more than a list.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tagboat::api::ImagePolicy;

use super::table::{Row, Table, mib};
use super::watched::Watched;
use super::{SOON, Sizes, clear_policies, controller, progress, settled};
use crate::setup::{apply, latest, request};
use crate::support::registry::digest;
use crate::support::tagboat::Tagboat;
use crate::support::traffic::serve;
use crate::support::world::World;

/// Tags of a page.
const PAGE: usize = 1000;
/// What a tag may hold of memory.
const BYTES: u64 = 32;
const REPOSITORY: &str = "acme/app";

pub async fn run(sizes: Sizes, table: &mut Table) {
    let world = World::new("memory").await;
    // What a policy of one tag takes, which is the same for each policy, is no tag's.
    let mut least = 0;
    for count in [0, 1, sizes.tags, sizes.tags * 10] {
        progress(&format!("memory with {count} tags"));
        // One of its own for each, so that none of it is left from the one before.
        let tagboat = controller(&world, false).await;
        let counts = if count == 0 { String::new() } else { listed(&world, count, &tagboat).await };
        let now = tagboat.memory_now();
        if count == 1 {
            least = now;
        }
        let more = now.saturating_sub(least).div_ceil(count.max(1) as u64);
        let mut row = Row::new(format!("memory, tags of a policy: {count}"));
        row = row.memory(format!("{} (now {})", mib(tagboat.peak_memory()), mib(now)));
        row = match count {
            0 | 1 => row.counts(counts),
            _ => row.counts(format!("{more} bytes a tag more than with one; {counts}")),
        };
        // Of fewer tags, the difference is lost in what comes and goes.
        let is_great = count == sizes.tags * 10;
        table.add(if is_great { row.goal(format!("≤ {BYTES} bytes a tag"), more <= BYTES) } else { row });
        tagboat.terminate().await;
    }
    clear_policies(&world).await;
}

/// Has them listed twice; what else is worth knowing.
async fn listed(world: &World, count: usize, tagboat: &Tagboat) -> String {
    let list = List::new(count);
    let (names, newest) = (list.names, list.newest.clone());
    let port = serve(Router::new().fallback(answer).with_state(Arc::new(list))).await;
    let name = format!("of-{count}");
    let mut seen = Watched::start(world.api::<ImagePolicy>()).await;
    let begin = Instant::now();
    let image = format!("127.0.0.1:{port}/{REPOSITORY}");
    let spec = format!("{{image: '{image}', insecure: true, interval: 1h, policy: {{semver: {{range: '*'}}}}}}");
    apply(world, "ImagePolicy", &name, &spec).await;
    let is_it = |policy: &ImagePolicy| (latest(policy).as_deref() == Some(&newest)).then_some(());
    let (at, ()) = seen.until("the newest of all", SOON, is_it).await;
    let first = at.duration_since(begin);
    let once = tagboat.memory_now();
    // An unchanged list is read again.
    request::<ImagePolicy>(world, &name, "again").await;
    let is_answered = |policy: &ImagePolicy| {
        let handled = policy.status.as_ref()?.last_handled_reconcile_at.as_deref()?;
        (handled == "again").then_some(())
    };
    seen.until("the answer", SOON, is_answered).await;
    settled(world).await;
    world.api::<ImagePolicy>().delete(&name, &Default::default()).await.unwrap();
    format!(
        "the names alone {}; {} when decided, after {:.2} s; the list is a stand-in's, as no real registry is filled in time",
        mib(names as u64),
        mib(once),
        first.as_secs_f64()
    )
}

/// Pages of a list, ready to be sent.
struct List {
    pages: Vec<Vec<u8>>,
    newest: String,
    /// Bytes of all names.
    names: usize,
}

impl List {
    fn new(count: usize) -> Self {
        let mut tags: Vec<String> =
            (0..count).map(|n| format!("{}.{}.{}", n / 10_000, n / 100 % 100, n % 100)).collect();
        let newest = tags[count - 1].clone();
        tags.sort();
        let page = |tags: &[String]| json!({"name": REPOSITORY, "tags": tags}).to_string().into_bytes();
        Self { pages: tags.chunks(PAGE).map(page).collect(), newest, names: tags.iter().map(String::len).sum() }
    }
}

async fn answer(State(list): State<Arc<List>>, request: Request) -> Response {
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    if request.method() == Method::HEAD {
        let kind = (header::CONTENT_TYPE.as_str(), "application/vnd.oci.image.manifest.v1+json".to_owned());
        return [kind, ("docker-content-digest", digest(b"whatever"))].into_response();
    }
    let number: usize = query.split('&').find_map(|pair| pair.strip_prefix("page=")?.parse().ok()).unwrap_or_default();
    let Some(page) = list.pages.get(number).filter(|_| path.ends_with("/tags/list")) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let kind = [(header::CONTENT_TYPE, "application/json")];
    if number + 1 == list.pages.len() {
        return (kind, page.clone()).into_response();
    }
    let next = format!("<{path}?n={PAGE}&page={}>; rel=\"next\"", number + 1);
    (kind, [(header::LINK, next)], page.clone()).into_response()
}
