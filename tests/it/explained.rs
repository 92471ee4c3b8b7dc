//! What a person is told about a choice: by `tagboat explain`, and by kubectl.

use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::setup::*;
use crate::support::registry::Build;
use crate::support::tagboat::{Output, cli_with};
use crate::support::trial;
use crate::support::world::World;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("explained: from the cluster", from_the_cluster),
        trial("explained: what a small change would do", what_a_small_change_would_do),
        trial("explained: by kubectl", by_kubectl),
    ]
}

/// A policy that runs 1.0.0 with its digest: 1.1.0 waits for its age, 1.2.0 is for another platform, 2.0.0 out of range. The
/// digests of 1.0.0 and 1.1.0.
async fn waiting(world: &World) -> (crate::support::tagboat::Tagboat, String, String) {
    let repository = world.repository("app");
    world.push("app", &["0.9.0", "2.0.0"]).await;
    let runs = world.registry.push(&repository, "1.0.0").await;
    let spec = "policy: {semver: {range: '<2.0.0'}}, digestReflectionPolicy: IfNotPresent, platforms: [linux/amd64]";
    image_policy(world, "app", "app", spec).await;
    let tagboat = world.tagboat().await;
    chosen(world, "app", "1.0.0").await;
    world.registry.push_build(&repository, "1.2.0", &Build::on("linux/arm64")).await;
    ruled(world, "app", "1.2.0", "platforms").await;
    image_policy(world, "app", "app", &format!("{spec}, gates: {{minAge: 3h}}")).await;
    let waits = world.registry.push(&repository, "1.1.0").await;
    ruled(world, "app", "1.1.0", "minAge").await;
    (tagboat, runs, waits)
}

async fn explain(world: &World, args: &[&str], input: &str) -> Output {
    let kubeconfig = world.cluster.kubeconfig("person");
    let kubeconfig = kubeconfig.to_str().unwrap();
    let about = ["explain", "imagepolicy", "app", "--namespace", &world.namespace, "--kubeconfig", kubeconfig];
    cli_with(about.iter().chain(args), input, &[]).await
}

fn parsed(output: &Output) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// What is said of a tag.
fn of<'v>(said: &'v Value, tag: &str) -> &'v Value {
    let mut tags = said["tags"].as_array().unwrap().iter();
    tags.find(|entry| entry["tag"] == tag).unwrap_or_else(|| panic!("{tag} is not in {said:#}"))
}

async fn from_the_cluster(world: World) {
    let (_tagboat, runs, _) = waiting(&world).await;
    let (policy, verdict) = ruled(&world, "app", "1.1.0", "minAge").await;
    let until = verdict.until.unwrap();

    let output = explain(&world, &["-o", "json"], "").await;
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output:?}");
    let said = parsed(&output);
    assert_eq!(said["policy"], json!({"namespace": world.namespace, "name": "app"}));
    assert_eq!(said["chosen"], json!({"tag": "1.0.0", "digest": runs}));
    let stopped = of(&said, "1.1.0");
    assert_eq!(
        (&stopped["verdict"], &stopped["rule"], &stopped["gate"]),
        (&json!("refused"), &json!("gate"), &json!("minAge"))
    );
    assert_eq!(stopped["until"], serde_json::to_value(until).unwrap());
    assert_eq!((&of(&said, "1.2.0")["rule"], &of(&said, "1.2.0")["gate"]), (&json!("gate"), &json!("minAge")));
    assert_eq!((&of(&said, "2.0.0")["rule"], &of(&said, "0.9.0")["verdict"]), (&json!("semver"), &json!("older")));
    assert_eq!(said["tags"].as_array().unwrap().len(), 5);
    let scan = policy.status.as_ref().unwrap().last_scan.clone().unwrap();
    assert_eq!(said["lastScan"], serde_json::to_value(&scan).unwrap());
    let chosen_at = policy.status.as_ref().unwrap().chosen_at;
    assert_eq!(said["controller"], json!({"message": message(&policy), "chosenAt": chosen_at}));

    let text = explain(&world, &[], "").await;
    assert_eq!(text.code, 0, "{text:?}");
    let lines: Vec<&str> = text.stdout.lines().collect();
    assert_eq!(lines[0], format!("{}/app chooses 1.0.0@{runs}", world.namespace));
    let line = |tag: &str| lines.iter().find(|line| line.split_whitespace().next() == Some(tag)).copied().unwrap();
    assert!(line("1.1.0").contains("refused") && line("1.1.0").contains("minAge"), "{}", text.stdout);
    assert!(line("1.1.0").contains(&format!("{until:?}")), "{}", text.stdout);
    for line in ["controller: 1.0.0 is the newest that may run now of 5 tags", &format!("list: {} of ", scan.revision)]
    {
        assert!(text.stdout.contains(line), "{}", text.stdout);
    }

    // Without the registry it tells what the controller last saw.
    world.registry.down(&world.repository("app"), true);
    let said = parsed(&explain(&world, &["-o", "json"], "").await);
    assert_eq!(said["chosen"], json!({"tag": "1.0.0", "digest": runs}));
    assert_eq!(of(&said, "1.1.0")["gate"], "minAge");
    assert!(said["notes"][0].as_str().unwrap().contains("the registry can't be asked from here"), "{said:#}");

    let kubeconfig = world.cluster.kubeconfig("person");
    let args = ["explain", "imgpol", "nobody", "-n", &world.namespace, "--kubeconfig", kubeconfig.to_str().unwrap()];
    let missing = cli_with(args, "", &[]).await;
    assert_eq!((missing.code, missing.stdout.as_str()), (2, ""), "{missing:?}");
    assert!(missing.stderr.contains(&format!("{}/nobody", world.namespace)), "{}", missing.stderr);
}

async fn what_a_small_change_would_do(world: World) {
    let (_tagboat, ..) = waiting(&world).await;
    let lists = world.registry.lists(&world.repository("app"));
    let range = async |range: &str| {
        let output = explain(&world, &["--range", range, "-o", "json"], "").await;
        (output.code, parsed(&output))
    };
    let (code, said) = range("*").await;
    assert_eq!((code, &said["chosen"]["tag"]), (0, &json!("2.0.0")), "{said:#}");
    assert_eq!(of(&said, "1.0.0")["verdict"], "older");
    let (code, said) = range("0.x").await;
    assert_eq!((code, &said["chosen"]["tag"]), (0, &json!("0.9.0")), "{said:#}");
    let (code, said) = range(">=5").await;
    assert_eq!((code, &said["chosen"]), (1, &Value::Null), "{said:#}");
    let bad = explain(&world, &["--range", "no range"], "").await;
    assert_eq!(bad.code, 2, "{bad:?}");
    assert!(bad.stderr.contains("range"), "{}", bad.stderr);
    assert!(world.registry.lists(&world.repository("app")) > lists, "asked anew");

    // Tags that nobody pushed yet, and one that is gone.
    let output = explain(&world, &["--tags", "-", "-o", "json"], "1.5.0\n1.1.0\n1.4.0-rc.1\nnonsense!\n").await;
    let said = parsed(&output);
    assert_eq!((output.code, &said["chosen"]["tag"]), (0, &json!("1.5.0")), "{said:#}");
    assert_eq!(of(&said, "1.1.0")["gate"], "minAge");
    assert_eq!(of(&said, "nonsense!")["rule"], "tag");
    let output = explain(&world, &["--tags", "-", "-o", "json"], "0.9.0\n").await;
    let said = parsed(&output);
    assert_eq!((&said["chosen"]["tag"], &said["held"]["insteadOf"]), (&json!("1.0.0"), &json!("0.9.0")), "{said:#}");
    let output = explain(&world, &["--tags", "-", "--current", "0.8.0", "-o", "json"], "0.9.0\n").await;
    assert_eq!(parsed(&output)["chosen"]["tag"], "0.9.0");
    let policy = world.api::<tagboat::api::ImagePolicy>().get("app").await.unwrap();
    assert_eq!(latest(&policy).as_deref(), Some("1.0.0"), "only a look");
}

async fn by_kubectl(world: World) {
    let (_tagboat, runs, waits) = waiting(&world).await;
    let kubectl = |args: &[&str]| {
        let output = world.cluster.kubectl("person").args(["-n", &world.namespace]).args(args).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let table = kubectl(&["get", "imgpol"]);
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    let image = world.image("app");
    assert_eq!(rows[0], ["NAME", "IMAGE", "TAG", "CHOSEN", "AGE", "READY", "MESSAGE"]);
    assert_eq!(&rows[1][..3], ["app", &image, "1.0.0"], "{table}");
    assert_eq!(rows[1][5], "True", "{table}");
    assert!(table.contains("1.1.0 waits for minAge") || table.contains("1.2.0 waits for minAge"), "{table}");
    let wide = kubectl(&["get", "imgpol", "-o", "wide"]);
    assert!(wide.contains(&runs) && wide.contains("DIGEST") && wide.contains("PREVIOUS"), "{wide}");

    let told = kubectl(&["describe", "imgpol", "app"]).split_whitespace().collect::<Vec<_>>().join(" ");
    for words in ["Tag: 1.0.0", &runs, "1.1.0", &waits, "minAge", "Until: ", "First Seen: ", "WaitingForGate", "2.0.0"]
    {
        assert!(told.contains(words), "{words} is not in {told}");
    }
}
