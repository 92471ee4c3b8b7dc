//! When changes are allowed: outside of a window nothing is touched and everything is told, one that opens wakes its GitSync, and a
//! person lets one revision through.

use chrono::{DateTime, SecondsFormat, TimeDelta, Timelike, Utc};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tagboat::api::GitSync;
use tagboat::api::condition::Reason;
use tagboat::api::git_sync::WindowState;

use crate::objects::*;
use crate::setup::*;
use crate::support::trial;
use crate::support::wait::{eventually, wait_for};
use crate::support::world::World;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("windows: outside of them everything is told and nothing touched", nothing_is_touched),
        trial("windows: what waits comes when one opens", what_waits_comes),
        trial("windows: no hook starts outside of them", no_hook_starts),
        trial("windows: what makes no sense is refused", what_makes_no_sense),
        trial("windows: what is suspended says so", what_is_suspended_says_so),
    ]
}

fn text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A schedule that is closed for hours, and when it opens.
fn closed() -> (String, DateTime<Utc>) {
    let now = Utc::now();
    let opens = (now + TimeDelta::hours(6)).with_minute(0).and_then(|time| time.with_second(0)).unwrap();
    let opens = opens.with_nanosecond(0).unwrap();
    (format!("{{schedule: '0 {} * * *', duration: 1h}}", opens.hour()), opens)
}

async fn stands(world: &World, state: WindowState) -> GitSync {
    wait_for(&world.api::<GitSync>(), "apps", &format!("{state:?}"), SOON, |sync| {
        (sync?.status.as_ref()?.window.as_ref()?.state == state).then(|| sync.cloned())?
    })
    .await
}

/// Waits until it says that a commit waits.
async fn waits(world: &World, commit: &str, words: &[&str]) -> GitSync {
    wait_for(&world.api::<GitSync>(), "apps", &format!("{commit} waits with {words:?}"), SOON, |sync| {
        let ready = sync?.conditions().iter().find(|condition| condition.kind == "Ready")?;
        let is_it = ready.status == "Unknown"
            && ready.reason == Reason::WaitingForWindow.as_str()
            && ready.message.contains(commit)
            && words.iter().all(|word| ready.message.contains(word));
        is_it.then(|| sync.cloned())?
    })
    .await
}

fn applied(sync: &GitSync) -> String {
    sync.status.as_ref().unwrap().last_applied_revision.as_ref().unwrap().to_string()
}

async fn nothing_is_touched(world: World) {
    let map = |name: &str, greeting: &str| (format!("{name}.yaml"), config_map(name, greeting));
    let files = [map("a", "one"), map("b", "one"), map("c", "one")];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (&**path, &**text)).collect();
    let repo = fleet(&world, &files).await;
    git_sync(&world, "path: ./").await;
    let launch = world.launch();
    let tagboat = world.run(&launch).await;
    let first = repo.head();
    synced(&world, "apps", &first).await;

    let (window, opens) = closed();
    let spec = format!("path: ./, windows: [{window}]");
    git_sync(&world, &spec).await;
    let sync = stands(&world, WindowState::Closed).await;
    assert_eq!(sync.status.unwrap().window.unwrap().until, Some(opens));
    // As long as nothing is to do, it is ready.
    ready::<GitSync>(&world, "apps", "True", Reason::Succeeded).await;

    // Drift is told, and left.
    let mark = world.cluster.audit().mark();
    edit::<ConfigMap>(&world, "a", "someone", json!({"data": {"greeting": "two"}})).await;
    ready::<GitSync>(&world, "apps", "True", Reason::DriftDetected).await;
    event(&world, "apps", Reason::DriftDetected, &["ConfigMap", "data.greeting", "someone"]).await;
    world.api::<ConfigMap>().delete("b", &DeleteParams::default()).await.unwrap();
    wait_for(&world.api::<GitSync>(), "apps", "both told", SOON, |sync| {
        (sync?.status.as_ref()?.drift.len() == 2).then_some(())
    })
    .await;

    // What is new in Git is read, checked, and waits.
    repo.commit(&[("bad.yaml", "kind: [\n")], "broken");
    fails(&world, "apps", Reason::RenderFailed, &["bad.yaml"]).await;
    repo.remove(&["bad.yaml", "c.yaml"], "mended, and c goes");
    let second = repo.commit(&[("d.yaml", &config_map("d", "one"))], "d comes");
    let until = text(opens);
    let words = [&*until, "ConfigMap", "/c: it is no longer in Git", "/d: it is new in Git", &second[..12]];
    let sync = waits(&world, &second, &words).await;
    println!("{}", message(&sync));
    assert_eq!(applied(&sync), format!("main@sha1:{first}"));
    event(&world, "apps", Reason::WaitingForWindow, &[&second, &until]).await;
    // A new object that waits is not missed, whatever the timeout.
    assert!(sync.status.unwrap().health.unwrap().unhealthy.is_empty());

    // Neither a request nor another controller opens it.
    request::<GitSync>(&world, "apps", "now").await;
    tagboat.kill9().await;
    let _tagboat = world.run(&launch).await;
    wait_for(&world.api::<GitSync>(), "apps", "the request handled", SOON, |sync| {
        (sync?.status.as_ref()?.last_handled_reconcile_at.as_deref() == Some("now")).then_some(())
    })
    .await;
    assert_eq!(acts(&world, mark), Vec::<String>::new());

    // A person lets this commit through: what waits and what was changed by others, and nothing that comes after it.
    let patch = json!({"metadata": {"annotations": {"tagboat.dev/overrideWindows": &second[..12]}}});
    world.api::<GitSync>().patch("apps", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    synced(&world, "apps", &second).await;
    let window = stands(&world, WindowState::Overridden).await.status.unwrap().window.unwrap();
    assert_eq!(window.overridden_for.unwrap().to_string(), format!("main@sha1:{second}"));
    assert_eq!(window.until, Some(opens));
    holds::<ConfigMap>(&world, "a", "/data/greeting", json!("one")).await;
    exists::<ConfigMap>(&world, "b", true).await;
    exists::<ConfigMap>(&world, "c", false).await;
    exists::<ConfigMap>(&world, "d", true).await;
    let mark = world.cluster.audit().mark();
    let third = repo.commit(&[("d.yaml", &config_map("d", "two"))], "d changes");
    waits(&world, &third, &["/d: it changed in Git"]).await;
    let window = stands(&world, WindowState::Closed).await.status.unwrap().window.unwrap();
    assert_eq!(window.overridden_for, None);
    assert_eq!(acts(&world, mark), Vec::<String>::new());

    // Without windows nothing waits.
    git_sync(&world, "path: ./").await;
    let sync = synced(&world, "apps", &third).await;
    assert_eq!(sync.status.unwrap().window, None);
}

async fn what_waits_comes(world: World) {
    let repo = fleet(&world, &[("a.yaml", &config_map("a", "one"))]).await;
    git_sync(&world, "path: ./, interval: 1h").await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;

    // What is always allowed is denied for some seconds.
    let opens = (Utc::now() + TimeDelta::seconds(12)).with_nanosecond(0).unwrap();
    let closes = opens + TimeDelta::seconds(10);
    let deny =
        |from: DateTime<Utc>, to: DateTime<Utc>| format!("{{kind: Deny, from: '{}', to: '{}'}}", text(from), text(to));
    let (yesterday, tomorrow) = (opens - TimeDelta::days(1), opens + TimeDelta::days(1));
    let windows =
        format!("{{schedule: '* * * * *', duration: 2m}}, {}, {}", deny(yesterday, opens), deny(closes, tomorrow));
    git_sync(&world, &format!("path: ./, interval: 1h, windows: [{windows}]")).await;
    let sync = stands(&world, WindowState::Closed).await;
    assert_eq!(sync.status.unwrap().window.unwrap().until, Some(opens));
    edit::<ConfigMap>(&world, "a", "someone", json!({"data": {"greeting": "two"}})).await;
    let commit = repo.commit(&[("b.yaml", &config_map("b", "one"))], "b");
    waits(&world, &commit, &[&text(opens)]).await;

    synced(&world, "apps", &commit).await;
    let made = world.api::<ConfigMap>().get("b").await.unwrap().creation_timestamp().unwrap();
    let late = made.0.as_second() - opens.timestamp();
    println!("made {late} s after it opened");
    assert!((0..8).contains(&late), "{late}");
    holds::<ConfigMap>(&world, "a", "/data/greeting", json!("one")).await;
    let window = stands(&world, WindowState::Open).await.status.unwrap().window.unwrap();
    assert_eq!(window.until, Some(closes));

    // It closes by itself as well.
    let window = stands(&world, WindowState::Closed).await.status.unwrap().window.unwrap();
    assert_eq!(window.until, Some(tomorrow));
    assert!(Utc::now() >= closes);
    edit::<ConfigMap>(&world, "a", "someone", json!({"data": {"greeting": "three"}})).await;
    ready::<GitSync>(&world, "apps", "True", Reason::DriftDetected).await;
    assert_eq!(live::<ConfigMap>(&world, "a").await["data"]["greeting"], "three");
}

async fn no_hook_starts(world: World) {
    let repo = fleet(&world, &[("a.yaml", &config_map("a", "one"))]).await;
    git_sync(&world, "path: ./").await;
    let _tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    let (window, _) = closed();
    git_sync(&world, &format!("path: ./, windows: [{window}]")).await;
    stands(&world, WindowState::Closed).await;
    let job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate, annotations: {tagboat.dev/hook: before}}\n\
               spec: {backoffLimit: 0, template: {spec: {restartPolicy: Never, \
               containers: [{name: main, image: 'example.com/job:1'}]}}}\n";
    let commit = repo.commit(&[("job.yaml", job)], "only a hook");
    waits(&world, &commit, &["hook batch/Job", "migrate is due"]).await;
    assert_eq!(live::<Job>(&world, "migrate").await, Value::Null);
    git_sync(&world, "path: ./").await;
    synced(&world, "apps", &commit).await;
    exists::<Job>(&world, "migrate", true).await;
}

async fn what_makes_no_sense(world: World) {
    for (window, word) in [
        (json!({}), "set schedule and duration, or from and to"),
        (json!({"schedule": "0 9 * * *"}), "set schedule and duration, or from and to"),
        (json!({"from": "2026-12-01T00:00:00Z"}), "set schedule and duration, or from and to"),
        (
            json!({"schedule": "0 9 * * *", "duration": "1h", "from": "2026-12-01T00:00:00Z", "to": "2026-12-02T00:00:00Z"}),
            "set schedule and duration, or from and to",
        ),
        (json!({"from": "2026-12-02T00:00:00Z", "to": "2026-12-01T00:00:00Z"}), "to must be later than from"),
        (
            json!({"from": "2026-12-01T00:00:00Z", "to": "2026-12-02T00:00:00Z", "timezone": "Europe/Berlin"}),
            "timezone belongs to schedule",
        ),
        (json!({"kind": "Never", "schedule": "0 9 * * *", "duration": "1h"}), "Never"),
    ] {
        let object = json!({
            "apiVersion": "tagboat.dev/v1alpha1", "kind": "GitSync", "metadata": {"name": "apps"},
            "spec": {"configRepoRef": {"name": "fleet"}, "windows": [window]}
        });
        let applied = world.api::<GitSync>().patch("apps", &PatchParams::apply("person"), &Patch::Apply(object)).await;
        match applied {
            Err(kube::Error::Api(status)) => {
                assert!(status.code == 422 && status.message.contains(word), "{window}: {}", status.message);
            }
            other => panic!("{window}: {other:?}"),
        }
    }
    // What only we can read is told by us, and until then nothing is applied.
    let repo = fleet(&world, &[("a.yaml", &config_map("a", "one"))]).await;
    git_sync(&world, "path: ./, windows: [{schedule: '0 9 31 2 *', duration: 1h}]").await;
    let _tagboat = world.tagboat().await;
    fails(&world, "apps", Reason::InvalidSpec, &["spec.windows[0].schedule"]).await;
    git_sync(&world, "path: ./, windows: [{schedule: '0 9 * * *', duration: 1h, timezone: Berlin}]").await;
    fails(&world, "apps", Reason::InvalidSpec, &["spec.windows[0].timezone"]).await;
    assert_eq!(live::<ConfigMap>(&world, "a").await, Value::Null);
    git_sync(&world, "path: ./, windows: [{schedule: '* * * * *', duration: 2m, timezone: Europe/Berlin}]").await;
    synced(&world, "apps", &repo.head()).await;
}

async fn what_is_suspended_says_so(world: World) {
    let repo = fleet(&world, &[("a.yaml", &config_map("a", "one"))]).await;
    git_sync(&world, "path: ./").await;
    let tagboat = world.tagboat().await;
    synced(&world, "apps", &repo.head()).await;
    let gauge = |count: usize| {
        let tagboat = &tagboat;
        async move {
            let line = format!("tagboat_suspended{{kind=\"GitSync\"}} {count}");
            eventually(&line, SOON, || async {
                let text = tagboat.get("/metrics").await;
                if text.lines().any(|said| said == line) { Ok(()) } else { Err(text) }
            })
            .await;
        }
    };
    gauge(0).await;
    git_sync(&world, "path: ./, suspend: true, windows: [{schedule: '* * * * *', duration: 2m}]").await;
    let sync: GitSync = ready(&world, "apps", "True", Reason::Suspended).await;
    assert_eq!(sync.status.unwrap().window, None, "nobody looks");
    let output = world.cluster.kubectl("admin").args(["-n", &world.namespace, "get", "gitsync", "apps"]).output();
    let output = String::from_utf8(output.unwrap().stdout).unwrap();
    println!("{output}");
    assert!(output.contains("suspended; nothing is applied"), "{output}");
    gauge(1).await;
    git_sync(&world, "path: ./, suspend: false").await;
    gauge(0).await;
    ready::<GitSync>(&world, "apps", "True", Reason::Succeeded).await;
}
