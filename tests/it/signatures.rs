//! Images signed by cosign itself: a policy with `gates.verify` chooses the newest that was signed by whom it trusts, wherever the
//! registry keeps signatures.

use libtest_mimic::Trial;
use serde_json::json;
use tagboat::api::ImagePolicy;
use tagboat::api::condition::Reason;

use crate::setup::*;
use crate::support::cosign::{Form, Signer};
use crate::support::gitea::OPEN;
use crate::support::registry::Registry;
use crate::support::world::World;
use crate::support::{gitea, registry_2, trial};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("signatures: cosign's in distribution 3", |world| async move {
            let repository = world.repository("app");
            signed_images_are_chosen(&world, world.registry, &repository).await;
        }),
        trial("signatures: cosign's in distribution 2.8", |world| async move {
            let repository = world.repository("app");
            signed_images_are_chosen(&world, registry_2().await, &repository).await;
        }),
        trial("signatures: cosign's in Gitea", |world| async move {
            let repository = format!("{OPEN}/{}", world.repository("app").replace("--", "-"));
            signed_images_are_chosen(&world, gitea().await, &repository).await;
        }),
    ]
}

async fn signed_images_are_chosen(world: &World, registry: &Registry, repository: &str) {
    let (ours, stranger) = (Signer::new().await, Signer::new().await);
    world.secret("keys", "Opaque", json!({"ours.pub": ours.public_key()})).await;
    let first = registry.push(repository, "1.0.0").await;
    let spec = format!(
        "{{image: '{}/{repository}', insecure: true, interval: 1s, {NEWEST}, gates: {{verify: {{cosign: {{secretRef: {{name: keys}}}}}}}}}}",
        registry.host
    );
    apply(world, "ImagePolicy", "app", &spec).await;
    let _tagboat = world.tagboat().await;
    let refused: ImagePolicy = ready(world, "app", "False", Reason::NoTagAllowed).await;
    assert_eq!(latest(&refused), None);
    assert!(message(&refused).contains(&format!("{first} has no signature")), "{}", message(&refused));

    ours.sign(registry, repository, &first, Form::Tag).await;
    chosen_as(world, "1.0.0", &first).await;

    // Nobody trusts who signed the second one; the third one is signed in the newer way.
    let second = registry.push(repository, "1.1.0").await;
    stranger.sign(registry, repository, &second, Form::Tag).await;
    stranger.sign(registry, repository, &second, Form::Bundle).await;
    let third = registry.push(repository, "1.0.1").await;
    ours.sign(registry, repository, &third, Form::Bundle).await;
    chosen_as(world, "1.0.1", &third).await;

    ours.sign(registry, repository, &second, Form::Bundle).await;
    chosen_as(world, "1.1.0", &second).await;
}

/// The choice is exactly the image that was signed.
async fn chosen_as(world: &World, tag: &str, digest: &str) {
    let policy = chosen(world, "app", tag).await;
    let chosen = policy.status.unwrap().latest_ref.unwrap();
    assert_eq!(chosen.digest.map(|digest| digest.as_str().to_owned()).as_deref(), Some(digest));
}
