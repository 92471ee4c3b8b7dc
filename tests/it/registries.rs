//! The registries that people run, as they really are: how each of them cuts its list of tags into pages, what it says to a wrong
//! password, how a deleted image leaves the list, and that the controller reads them all alike.

use libtest_mimic::Trial;
use tagboat::api::ImagePolicy;
use tagboat::api::condition::Reason;

use crate::setup::*;
use crate::support::gitea::{OPEN, PRIVATE};
use crate::support::registry::{LOGIN, Registry};
use crate::support::world::World;
use crate::support::{gitea, private_registry, private_registry_2, registry, registry_2, trial};

pub fn trials() -> Vec<Trial> {
    use Kind::{Distribution2, Distribution3, Gitea};
    vec![
        trial("registries: distribution 3 is read whole", |world| is_read_whole(world, Distribution3)),
        trial("registries: distribution 2.8 is read whole", |world| is_read_whole(world, Distribution2)),
        trial("registries: Gitea is read whole", |world| is_read_whole(world, Gitea)),
        trial("registries: distribution 3 wants its password", |world| wants_its_password(world, Distribution3)),
        trial("registries: distribution 2.8 wants its password", |world| wants_its_password(world, Distribution2)),
        trial("registries: Gitea wants its password", |world| wants_its_password(world, Gitea)),
        trial("registries: distribution 3 loses an image", |world| loses_an_image(world, Distribution3)),
        trial("registries: distribution 2.8 loses an image", |world| loses_an_image(world, Distribution2)),
        trial("registries: Gitea loses an image", |world| loses_an_image(world, Gitea)),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Distribution3,
    Distribution2,
    Gitea,
}

impl Kind {
    /// The registry, and what its image names begin with for this test.
    async fn open(self, world: &World) -> (&'static Registry, String) {
        match self {
            Self::Distribution3 => (registry().await, world.repository("app")),
            Self::Distribution2 => (registry_2().await, world.repository("app")),
            Self::Gitea => (gitea().await, owned_by(OPEN, world)),
        }
    }

    /// The same with images that only [`LOGIN`] may see.
    async fn private(self, world: &World) -> (&'static Registry, String) {
        match self {
            Self::Distribution3 => (private_registry().await, world.repository("app")),
            Self::Distribution2 => (private_registry_2().await, world.repository("app")),
            Self::Gitea => (gitea().await, owned_by(PRIVATE, world)),
        }
    }

    /// How many requests a list takes that fits on a page.
    fn pages(self) -> usize {
        match self {
            Self::Distribution3 | Self::Distribution2 => 1,
            Self::Gitea => 2, // the second one is empty
        }
    }
}

/// Gitea takes fewer names than the others: no two dashes in a row.
fn owned_by(owner: &str, world: &World) -> String {
    format!("{owner}/{}", world.repository("app").replace("--", "-"))
}

/// A policy `app` for any version of this image.
async fn policy(world: &World, registry: &Registry, repository: &str, more: &str) {
    let image = format!("{}/{repository}", registry.host);
    apply(world, "ImagePolicy", "app", &format!("{{image: '{image}', insecure: true, interval: 1s, {more}{NEWEST}}}"))
        .await;
}

async fn is_read_whole(world: World, kind: Kind) {
    let (registry, repository) = kind.open(&world).await;
    registry.push_many(&repository, (0..250).map(|n| format!("1.0.{n}"))).await;
    shows_its_pages(registry, &repository, kind).await;

    policy(&world, registry, &repository, "").await;
    let _tagboat = world.tagboat().await;
    let policy = chosen(&world, "app", "1.0.249").await;
    assert_eq!(policy.status.unwrap().last_scan.unwrap().tags, 250);

    // Scans of an unchanged list, from one first page to the next but one.
    let is_first = |path: &str| path.contains("/tags/list") && !path.contains("last=");
    let firsts = || registry.traffic().requests(&repository).iter().filter(|request| is_first(&request.path)).count();
    let begin = firsts();
    asked("the list", begin + 3, firsts).await;
    let all = registry.traffic().requests(&repository);
    let mut marks = (0..all.len()).filter(|at| is_first(&all[*at].path)).skip(begin);
    let two_scans = &all[marks.next().unwrap()..marks.nth(1).unwrap()];
    assert_eq!(two_scans.len(), 2 * kind.pages(), "{two_scans:#?}");
    assert!(two_scans.iter().all(|request| request.path.contains("/tags/list")), "{two_scans:#?}");

    registry.push(&repository, "1.0.250").await;
    chosen(&world, "app", "1.0.250").await;
}

/// What the registry makes of `n`, of `last`, and of the order of tags.
async fn shows_its_pages(registry: &Registry, repository: &str, kind: Kind) {
    let (whole, link) = registry.page(repository, "").await;
    let (some, more) = registry.page(repository, "?n=100").await;
    let (rest, _) = registry.page(repository, "?n=100&last=1.0.98").await;
    match kind {
        // Sorted as text; `n` is kept to, up to 1,000, and a `Link` leads on, by path alone. Without `n` it sends all.
        Kind::Distribution3 => {
            assert_eq!((whole.len(), link, some.len(), rest), (250, None, 100, vec!["1.0.99".to_owned()]));
            let next = format!("</v2/{repository}/tags/list?last=1.0.188&n=100>; rel=\"next\"");
            assert_eq!(more, Some(next));
        }
        // It knows neither: always the whole list, in the order in which its storage lists folders (text order in memory).
        Kind::Distribution2 => {
            assert_eq!((whole.len(), link, more), (250, None, None));
            assert_eq!((&some, &rest), (&whole, &whole));
        }
        // Sorted as text; `n` is kept to, whatever it is, and a `Link` leads on by path alone: also from the last page, to an empty one.
        Kind::Gitea => {
            assert_eq!((whole.len(), some.len()), (250, 100));
            let next = |query| Some(format!("</v2/{repository}/tags/list?{query}>; rel=\"next\""));
            assert_eq!((link, more), (next("last=1.0.99"), next("last=1.0.188&n=100")));
            assert_eq!(
                (rest, registry.page(repository, "?last=1.0.99").await),
                (vec!["1.0.99".to_owned()], (vec![], None))
            );
        }
    }
}

async fn wants_its_password(world: World, kind: Kind) {
    let (registry, repository) = kind.private(&world).await;
    registry.push(&repository, "1.0.0").await;
    let refused = async |secret: &str| {
        let spec = if secret.is_empty() { String::new() } else { format!("secretRef: {{name: {secret}}}, ") };
        policy(&world, registry, &repository, &spec).await;
        let refused: ImagePolicy = ready(&world, "app", "False", Reason::RegistryAuthenticationFailed).await;
        assert_eq!(latest(&refused), None);
        message(&refused)
    };
    let tagboat = world.tagboat().await;
    let said = refused("").await;
    assert!(said.contains(&registry.host), "{said}");

    world.registry_secret("wrong", &registry.host, (LOGIN.0, "guess-9")).await;
    let said = refused("wrong").await;
    assert!(said.contains(&registry.host) && !said.contains("guess-9"), "{said}");

    world.registry_secret("right", &registry.host, LOGIN).await;
    policy(&world, registry, &repository, "secretRef: {name: right}, ").await;
    chosen(&world, "app", "1.0.0").await;
    registry.push(&repository, "1.1.0").await;
    chosen(&world, "app", "1.1.0").await;
    ready::<ImagePolicy>(&world, "app", "True", Reason::Succeeded).await;

    let log = tagboat.log();
    assert!(!log.contains("guess-9") && !log.contains(LOGIN.1), "no secret in the log");
}

async fn loses_an_image(world: World, kind: Kind) {
    let (registry, repository) = kind.open(&world).await;
    registry.push(&repository, "1.0.0").await;
    let newest = registry.push(&repository, "1.1.0").await;
    policy(&world, registry, &repository, "").await;
    let _tagboat = world.tagboat().await;
    chosen(&world, "app", "1.1.0").await;

    registry.delete(&repository, &newest).await;
    assert_eq!(registry.tags(&repository).await, ["1.0.0"], "its tags go with it");
    let kept: ImagePolicy = ready(&world, "app", "True", Reason::DowngradeRefused).await;
    assert_eq!(latest(&kept).as_deref(), Some("1.1.0"));
    registry.push(&repository, "1.2.0").await;
    chosen(&world, "app", "1.2.0").await;
}
