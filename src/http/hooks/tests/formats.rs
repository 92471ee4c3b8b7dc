//! What each type of sender sends: which of its webhooks wake `registry…/acme/app`, and which proof it must bring.

use super::*;

/// Sends `body` once, with its type's proof and these headers; it must be genuine, and wake as often as expected.
#[track_caller]
fn check_with(kind: WebhookType, ours: &str, more: &[(&str, &str)], body: &str, wakes: bool) {
    let one = One::new(kind, ours);
    let proof = proof(kind, body);
    let headers = headers(proof.iter().map(|(name, value)| (*name, value.as_str())).chain(more.iter().copied()));
    assert_eq!(one.send(&headers, body), Verdict::Genuine, "{kind:?} {body}");
    assert_eq!(one.woken(), u64::from(wakes), "{kind:?} {body}");
}

#[track_caller]
fn check(kind: WebhookType, ours: &str, body: &str, wakes: bool) {
    check_with(kind, ours, &[], body, wakes);
}

/// The headers that prove a sender, for those that sign.
fn proof(kind: WebhookType, body: &str) -> Vec<(&'static str, String)> {
    match kind {
        Ghcr => vec![("x-hub-signature-256", format!("sha256={}", sha256(TOKEN, body)))],
        Gitea => vec![("x-gitea-signature", sha256(TOKEN, body))],
        GenericHmac => vec![("x-signature", format!("sha256={}", sha256(TOKEN, body)))],
        Artifactory => vec![("x-jfrog-event-auth", sha256(TOKEN, body))],
        Nexus => vec![("x-nexus-webhook-signature", sha1(TOKEN, body))],
        _ => Vec::new(),
    }
}

#[test]
fn distribution() {
    let event = |action: &str, repository: &str, tag: &str| {
        format!(
            r#"{{"id":"{action}-{repository}","timestamp":"2031-05-06T11:59:58.123456789Z","action":"{action}","target":{{
            "mediaType":"application/vnd.oci.image.manifest.v1+json","size":708,"digest":"sha256:00","length":708,
            "repository":"{repository}","url":"http://internal:5000/v2/{repository}/manifests/sha256:00"{tag}}},
            "request":{{"id":"r","addr":"10.0.0.1:1","host":"internal:5000","method":"PUT","useragent":"x"}},
            "actor":{{}},"source":{{"addr":"registry:5000","instanceID":"i"}}}}"#
        )
    };
    let events = |of: &[String]| format!(r#"{{"events":[{}]}}"#, of.join(","));
    let (ours, tag) = ("registry.example.com/acme/app", r#","tag":"1.2.3""#);
    let (push, other) = (event("push", "acme/app", tag), event("push", "acme/other", tag));
    check(Distribution, ours, &events(std::slice::from_ref(&push)), true);
    check(Distribution, ours, &events(std::slice::from_ref(&other)), false);
    check(Distribution, ours, &events(&[other.clone(), event("pull", "acme/app", tag), push]), true);
    check(Distribution, ours, &events(&[event("delete", "acme/app", "")]), true);
    for idle in [event("push", "acme/app", ""), event("pull", "acme/app", tag), event("mount", "acme/app", "")] {
        check(Distribution, ours, &events(&[idle]), false);
    }
    check(Distribution, ours, "{}", false);
    check(Distribution, ours, r#"{"events":null}"#, false);
    check(Distribution, ours, r#"{"events":[{"action":5,"target":{"repository":["acme/app"]}}]}"#, false);
}

#[test]
fn zot_sends_cloud_events() {
    let ours = "registry.example.com/acme/app";
    let of = |kind| [("ce-type", kind), ("ce-id", "1"), ("ce-specversion", "1.0"), ("ce-time", "2031-05-06T11:59:58Z")];
    let data = |reference| {
        format!(r#"{{"name":"acme/app","reference":"{reference}","digest":"sha256:00","manifest":"{{}}"}}"#)
    };
    check_with(Distribution, ours, &of("zotregistry.image.updated"), &data("1.2.3"), true);
    check_with(Distribution, ours, &of("zotregistry.image.updated"), &data("sha256:00"), false);
    check_with(Distribution, ours, &of("zotregistry.image.deleted"), &data("sha256:00"), true);
    check_with(Distribution, ours, &of("zotregistry.image.lint_failed"), &data("1.2.3"), false);
    check_with(
        Distribution,
        "registry.example.com/acme/other",
        &of("zotregistry.image.updated"),
        &data("1.2.3"),
        false,
    );
    let structured =
        format!(r#"{{"specversion":"1.0","id":"1","type":"zotregistry.image.updated","data":{}}}"#, data("1"));
    check_with(
        Distribution,
        ours,
        &[("content-type", "application/cloudevents+json; charset=utf-8")],
        &structured,
        true,
    );
}

#[test]
fn docker_hub() {
    let body = |at: &str, repository: &str| {
        format!(
            r#"{{"callback_url":"https://registry.hub.docker.com/u/x/hook/1/","push_data":{{"pushed_at":{at},"pusher":"me",
            "tag":"1","images":[]}},"repository":{{"status":"Active","is_private":false,"date_created":1.4e+09,{repository}}}}}"#
        )
    };
    let now = noon().timestamp().to_string();
    let app =
        r#""repo_name":"acme/app","namespace":"acme","name":"app","repo_url":"https://hub.docker.com/r/acme/app""#;
    check(Dockerhub, "acme/app", &body(&now, app), true);
    check(Dockerhub, "index.docker.io/acme/app", &body(&format!("{now}.5e0"), app), true);
    check(Dockerhub, "acme/app", &body(&(noon().timestamp() - 901).to_string(), app), false);
    check(Dockerhub, "acme/other", &body(&now, app), false);
    check(Dockerhub, "ghcr.io/acme/app", &body(&now, app), false);
    check(Dockerhub, "acme/app", &body("null", r#""namespace":"acme","name":"app""#), true);
    check(Dockerhub, "nginx", &body(&now, r#""repo_name":"nginx","name":"nginx""#), true);
    check(Dockerhub, "nginx", &body(&now, r#""repo_name":"library/nginx""#), true);
    check(Dockerhub, "nginx", "{}", false);
}

#[test]
fn ghcr() {
    let package = |owner: &str, name: &str, kind: &str, version: &str| {
        format!(
            r#"{{"id":1,"name":"{name}","namespace":"{owner}","package_type":"{kind}","owner":{{"login":"{owner}","id":2}},
            "package_version":{{"id":3,"version":"sha256:00",{version}}},"updated_at":"2031-05-06T11:59:59Z"}}"#
        )
    };
    let tagged = r#""package_url":"ghcr.io/acme/app:1","container_metadata":{"tag":{"name":"1","digest":"sha256:00"}}"#;
    let untagged = r#""package_url":"ghcr.io/acme/app:","container_metadata":{"tag":{"name":"","digest":"sha256:00"}}"#;
    let bare = r#""package_url":"ghcr.io/acme/app:""#;
    let hook = |name: &str, package: String| {
        format!(r#"{{"action":"published","{name}":{package},"sender":{{"login":"me"}}}}"#)
    };
    let ours = "ghcr.io/acme/app";
    check(Ghcr, ours, &hook("package", package("Acme", "App", "CONTAINER", tagged)), true);
    check(Ghcr, ours, &hook("registry_package", package("acme", "app", "docker", tagged)), true);
    check(Ghcr, ours, &hook("package", package("acme", "app", "CONTAINER", bare)), true);
    check(Ghcr, ours, &hook("package", package("acme", "app", "CONTAINER", untagged)), false);
    check(Ghcr, ours, &hook("package", package("acme", "app", "npm", tagged)), false);
    check(Ghcr, "ghcr.io/acme/other", &hook("package", package("acme", "app", "CONTAINER", tagged)), false);
    check(Ghcr, "ghcr.example.com/acme/app", &hook("package", package("acme", "app", "CONTAINER", tagged)), false);
    let below = r#""package_url":"ghcr.io/acme/app/part:1""#;
    check(Ghcr, "ghcr.io/acme/app/part", &hook("package", package("acme", "app/part", "CONTAINER", below)), true);
    check_with(Ghcr, ours, &[("x-github-event", "ping")], r#"{"zen":"Keep it.","hook_id":1,"hook":{}}"#, false);
    // As GitHub's form fills it in when nobody chooses JSON.
    let escaped: String = hook("package", package("acme", "app", "CONTAINER", tagged))
        .bytes()
        .map(|byte| if byte == b' ' { "+".to_owned() } else { format!("%{byte:02X}") })
        .collect();
    let form = [("content-type", "application/x-www-form-urlencoded")];
    check_with(Ghcr, ours, &form, &format!("payload={escaped}"), true);
}

#[test]
fn quay() {
    let body = |url: &str, tags: &str| {
        format!(
            r#"{{"name":"app","repository":"acme/app","namespace":"acme","docker_url":"{url}",
            "homepage":"https://quay.io/repository/acme/app","updated_tags":{tags}}}"#
        )
    };
    check(Quay, "quay.io/acme/app", &body("quay.io/acme/app", r#"["latest","1"]"#), true);
    check(Quay, "quay.io/acme/other", &body("quay.io/acme/app", r#"["latest"]"#), false);
    check(Quay, "quay.example.com/acme/app", &body("quay.io/acme/app", r#"["latest"]"#), false);
    check(Quay, "quay.io/acme/app", &body("", r#"["latest"]"#), true);
    check(Quay, "quay.io/acme/app", &body("quay.io/acme/app", "[]"), false);
}

#[test]
fn harbor() {
    let resource =
        |name: &str| format!(r#"{{"digest":"sha256:00","tag":"1","resource_url":"harbor.example.com/{name}:1"}}"#);
    let data = |resources: &[String], name: &str| {
        format!(
            r#"{{"resources":[{}],"repository":{{"date_created":1,"name":"x","namespace":"acme","repo_full_name":"{name}"}}}}"#,
            resources.join(",")
        )
    };
    let app = data(&[resource("acme/app")], "acme/app");
    let default = |kind: &str, data: &str| {
        format!(r#"{{"type":"{kind}","occur_at":{},"operator":"admin","event_data":{data}}}"#, noon().timestamp())
    };
    let cloud = |kind: &str, data: &str| {
        format!(
            r#"{{"specversion":"1.0","id":"66","source":"/projects/2/webhook/policies/1","type":"{kind}",
            "datacontenttype":"application/json","time":"2031-05-06T11:59:59Z","data":{data},"operator":"admin"}}"#
        )
    };
    let ours = "harbor.example.com/acme/app";
    for kind in ["PUSH_ARTIFACT", "pushImage", "DELETE_ARTIFACT"] {
        check(Harbor, ours, &default(kind, &app), true);
    }
    for kind in ["harbor.artifact.pushed", "harbor.artifact.deleted"] {
        check(Harbor, ours, &cloud(kind, &app), true);
        check_with(Harbor, ours, &[("ce-type", kind), ("ce-id", "66")], &app, true);
    }
    check(Harbor, ours, &default("PULL_ARTIFACT", &app), false);
    check(Harbor, ours, &default("SCANNING_COMPLETED", &app), false);
    check(Harbor, ours, &cloud("harbor.artifact.pulled", &app), false);
    check(Harbor, "harbor.example.com/acme/other", &default("PUSH_ARTIFACT", &app), false);
    check(Harbor, "harbor.example.org/acme/app", &default("PUSH_ARTIFACT", &app), false);
    let untagged = r#"{"digest":"sha256:00","tag":"sha256:00","resource_url":"harbor.example.com/acme/app@sha256:00"}"#;
    check(Harbor, ours, &default("PUSH_ARTIFACT", &data(&[untagged.to_owned()], "acme/app")), false);
    // Several, of which the last has a tag.
    check(
        Harbor,
        ours,
        &default("PUSH_ARTIFACT", &data(&[untagged.to_owned(), resource("acme/app")], "acme/app")),
        true,
    );
}

#[test]
fn what_harbor_repeats_is_not_copied_for_each_resource() {
    let (name, id) = ("a".repeat(300_000), "7".repeat(300_000));
    let resources = vec![r#"{"tag":"1","resource_url":"a/b"},{"tag":"1","resource_url":"a.b/c"}"#; 4000].join(",");
    let data = format!(r#"{{"resources":[{resources}],"repository":{{"repo_full_name":"{name}"}}}}"#);
    let body = format!(r#"{{"type":"PUSH_ARTIFACT","id":"{id}","event_data":{data}}}"#);
    assert!(body.len() < super::super::LARGEST_BODY);
    let events = parse(Harbor, &headers([]), body.as_bytes()).unwrap();
    let names = events.iter().flat_map(|event| event.names.iter().flatten());
    let bytes: usize = names.map(|named| named.path.len()).sum::<usize>()
        + events.iter().map(|event| event.id.as_ref().map_or(0, String::len)).sum::<usize>();
    assert!(bytes < 2 * body.len(), "{bytes}");
}

#[test]
fn acr() {
    let body = |action: &str, host: &str, tag: &str| {
        format!(
            r#"{{"id":"cb","timestamp":"2031-05-06T11:59:59.343145347Z","action":"{action}","target":{{"mediaType":"x","size":1,
            "digest":"sha256:00","length":1,"repository":"acme/app"{tag}}},"request":{{"id":"3c","host":"{host}","method":"PUT"}}}}"#
        )
    };
    let (ours, tag) = ("acme.azurecr.io/acme/app", r#","tag":"1""#);
    check(Acr, ours, &body("push", "acme.azurecr.io", tag), true);
    check(Acr, ours, &body("delete", "acme.azurecr.io", ""), true);
    check(Acr, ours, &body("push", "acme.azurecr.io", ""), false);
    check(Acr, ours, &body("chart_push", "acme.azurecr.io", tag), false);
    check(Acr, ours, &body("push", "other.azurecr.io", tag), false);
    check(Acr, "acme.azurecr.io/acme/other", &body("push", "acme.azurecr.io", tag), false);
    check(Acr, ours, r#"{"id":"1","timestamp":"2031-05-06T11:59:59Z","action":"ping"}"#, false);
}

#[test]
fn ecr() {
    let native = |action: &str, result: &str, tag: &str| {
        format!(
            r#"{{"version":"0","id":"13cd","detail-type":"ECR Image Action","source":"aws.ecr","account":"123456789012",
            "time":"2031-05-06T11:59:59Z","region":"eu-west-1","resources":[],"detail":{{"result":"{result}",
            "repository-name":"acme/app","image-digest":"sha256:00","action-type":"{action}"{tag}}}}}"#
        )
    };
    let (ours, tag) = ("123456789012.dkr.ecr.eu-west-1.amazonaws.com/acme/app", r#","image-tag":"1""#);
    check(Ecr, ours, &native("PUSH", "SUCCESS", tag), true);
    check(Ecr, ours, &native("DELETE", "SUCCESS", tag), true);
    check(Ecr, ours, &native("PUSH", "FAILURE", tag), false);
    check(Ecr, ours, &native("PUSH", "SUCCESS", ""), false);
    check(Ecr, ours, &native("PULL", "SUCCESS", tag), false);
    for other in ["us-east-1.amazonaws.com/acme/app", "eu-west-1.amazonaws.com/acme/other"] {
        check(Ecr, &format!("123456789012.dkr.ecr.{other}"), &native("PUSH", "SUCCESS", tag), false);
    }
    let turned = |repository: &str| {
        format!(
            r#"{{"specversion":"1.0","id":"1","type":"com.amazon.ecr.image.push","time":"2031-05-06T11:59:59Z",
            "source":"urn:aws:ecr:eu-west-1:123456789012:repository/{repository}","subject":"{repository}:1",
            "data":{{"repositoryName":"{repository}","imageTag":"1","imageDigest":"sha256:00","registryId":"123456789012"}}}}"#
        )
    };
    check(Ecr, ours, &turned("acme/app"), true);
    check(Ecr, ours, &turned("acme/other"), false);
    let binary =
        [("ce-type", "com.amazon.ecr.image.push"), ("ce-source", "arn:aws:ecr:eu-west-1:123456789012:repository/x")];
    check_with(Ecr, ours, &binary, r#"{"repositoryName":"acme/app"}"#, true);
    check_with(Ecr, &ours.replace("eu-west-1", "eu-west-2"), &binary, r#"{"repositoryName":"acme/app"}"#, false);
}

#[test]
fn nexus() {
    let body = |part: &str| {
        format!(
            r#"{{"timestamp":"2031-05-06T11:59:59.664+0000","nodeId":"n","initiator":"admin/10.0.0.1",
            "repositoryName":"docker-hosted","action":"CREATED",{part}}}"#
        )
    };
    let asset = |name: &str| body(&format!(r#""asset":{{"id":"1","assetId":"2","format":"docker","name":"{name}"}}"#));
    for ours in ["nexus.example.com:8082/acme/app", "nexus.example.com/docker-group/acme/app"] {
        check(Nexus, ours, &asset("v2/acme/app/manifests/1.2.3"), true);
        check(Nexus, ours, &asset("/v2/acme/app/manifests/1.2.3"), true);
        check(Nexus, ours, &body(r#""component":{"format":"docker","name":"acme/app","version":"1.2.3"}"#), true);
        check(Nexus, ours, &asset("v2/acme/app/manifests/sha256:00"), false);
        check(Nexus, ours, &asset("v2/-/blobs/sha256:00"), false);
        check(Nexus, ours, &asset("v2/acme/other/manifests/1.2.3"), false);
        check(Nexus, ours, &body(r#""component":{"format":"maven2","name":"acme/app","version":"1.2.3"}"#), false);
        check(Nexus, ours, &asset("v2/acme/app/manifests/1.2.3").replace("11:59:59", "11:44:59"), false);
    }
}

#[test]
fn nexus_signs_without_white_space() {
    let pretty =
        "{ \"asset\" : {\n\t\"format\":\"docker\", \"name\":\"v2/acme/app/manifests/1\", \"x\":\"a \\\" b \\\\\" } }";
    let compact = r#"{"asset":{"format":"docker","name":"v2/acme/app/manifests/1","x":"a \" b \\"}}"#;
    for (signed, expected) in [(compact, Verdict::Genuine), (pretty, Verdict::Genuine), ("{}", Verdict::Unknown)] {
        let one = One::new(Nexus, "nexus.example.com/acme/app");
        assert_eq!(one.send(&headers([("x-nexus-webhook-signature", &*sha1(TOKEN, signed))]), pretty), expected);
        assert_eq!(one.woken() == 1, expected == Verdict::Genuine);
    }
}

#[test]
fn artifactory() {
    let body = |data: &str| {
        format!(
            r#"{{"domain":"docker","event_type":"pushed","data":{{"repo_key":"docker-local","event_type":"pushed","name":"manifest.json",
            "sha256":"00","size":1,{data},"image_type":"oci","platforms":[]}},"subscription_key":"x","jpd_origin":"https://acme.jfrog.io",
            "source":"jfrog"}}"#
        )
    };
    let whole = body(r#""path":"acme/app/1.2.3/manifest.json","image_name":"acme/app","tag":"1.2.3""#);
    for ours in [
        "acme.jfrog.io/docker-virtual/acme/app",
        "docker-local.acme.jfrog.io/acme/app",
        "acme.jfrog.io/docker-local/acme/app",
    ] {
        check(Artifactory, ours, &whole, true);
        check(Artifactory, ours, &body(r#""path":"acme/app/1.2.3/list.manifest.json""#), true);
        check(
            Artifactory,
            ours,
            &body(r#""path":"acme/app/sha256:00/manifest.json","image_name":"acme/app","tag":"sha256:00""#),
            false,
        );
        check(
            Artifactory,
            ours,
            &body(r#""path":"acme/other/1.2.3/manifest.json","image_name":"acme/other","tag":"1.2.3""#),
            false,
        );
        check(Artifactory, ours, &body(r#""path":"acme/app/1.2.3/layer""#), false);
    }
}

#[test]
fn gitea() {
    let body = |action: &str, kind: &str, name: &str, version: &str| {
        format!(
            r#"{{"action":"{action}","repository":null,"package":{{"id":1,"owner":{{"id":1,"login":"Acme"}},"repository":null,
            "creator":{{"login":"me"}},"type":"{kind}","name":"{name}","version":"{version}","created_at":"2031-05-06T11:59:59Z",
            "html_url":"https://git.example.com/Acme/-/packages/container/app/1"}},"organization":null,"sender":{{"login":"me"}}}}"#
        )
    };
    let ours = "git.example.com/acme/app";
    check(Gitea, ours, &body("created", "container", "app", "1"), true);
    check(Gitea, ours, &body("deleted", "container", "app", "sha256:00"), true);
    check(Gitea, ours, &body("created", "container", "app", "sha256:00"), false);
    check(Gitea, ours, &body("created", "npm", "app", "1"), false);
    check(Gitea, ours, &body("created", "container", "other", "1"), false);
    check(Gitea, ours, r#"{"secret":"","ref":"refs/heads/main","commits":[]}"#, false);
}

#[test]
fn cdevents() {
    let event = |kind: &str, url: &str| {
        format!(
            r#"{{"context":{{"version":"0.4.1","id":"27","source":"/ci/1","type":"{kind}","timestamp":"2031-05-06T11:59:59Z"}},
            "subject":{{"id":"{url}","source":"/ci/1","type":"artifact","content":{{"user":"mybot"}}}}}}"#
        )
    };
    let ours = "registry.example.com/acme/app";
    let url = "pkg:oci/app@sha256%3Aabc?repository_url=registry.example.com/acme/app&tag=1";
    let other = "pkg:oci/other@sha256%3Aabc?repository_url=registry.example.com/acme/other&tag=1";
    let published = "dev.cdevents.artifact.published.0.2.0";
    let outer = |data: &str| {
        format!(r#"{{"specversion":"1.0","id":"9","source":"/ci/1","type":"{published}","subject":"x","data":{data}}}"#)
    };
    for kind in [
        published,
        "dev.cdevents.artifact.packaged.0.2.0",
        "dev.cdevents.artifact.signed.0.2.0",
        "dev.cdevents.artifact.deleted.0.1.0",
    ] {
        check(Cdevents, ours, &event(kind, url), true);
        check_with(Cdevents, ours, &[("ce-type", kind), ("ce-id", "9")], &event(kind, url), true);
    }
    check(Cdevents, ours, &event("dev.cdevents.artifact.downloaded.0.1.0", url), false);
    check(Cdevents, ours, &event("dev.cdevents.build.finished.0.2.0", url), false);
    check(Cdevents, ours, &event(published, other), false);
    check(Cdevents, ours, &event(published, url).replace("11:59:59", "11:00:00"), false);
    check(Cdevents, ours, &outer(&event(published, url)), true);
    check(Cdevents, ours, &format!("[{},{}]", outer(&event(published, other)), outer(&event(published, url))), true);
    check(Cdevents, ours, "[]", false);
    let plain = |kind: &str| {
        format!(r#"{{"specversion":"1.0","id":"9","type":"{kind}","subject":"registry.example.com/acme/app:1"}}"#)
    };
    check(Cdevents, ours, &plain("com.example.container.image.push"), true);
    check(Cdevents, ours, &plain("com.example.container.image.pull"), false);
}

#[test]
fn generic() {
    for body in ["", "{}", "not JSON"] {
        check(Generic, "registry.example.com/acme/app", body, true);
        check(GenericHmac, "registry.example.com/acme/app", body, true);
    }
}

/// Whether a request with these headers and the body `{}` is taken for genuine.
#[track_caller]
fn check_proof(kind: WebhookType, more: &[(&str, &str)], given: &[(&str, &str)], expected: bool) {
    let one = One::with(kind, "acme/app", Hooks::new("http://127.0.0.1:9/"), secret(kind, more));
    let verdict = one.send(&headers(given.iter().copied()), "{}");
    assert_eq!(verdict, if expected { Verdict::Genuine } else { Verdict::Unknown }, "{kind:?} {given:?}");
}

#[test]
fn signatures() {
    let (right, wrong) = (sha256(TOKEN, "{}"), sha256("another key", "{}"));
    let nexus = sha1(TOKEN, "{}");
    for (kind, name, right, prefixed) in [
        (Ghcr, "x-hub-signature-256", &right, "sha256="),
        (Gitea, "x-gitea-signature", &right, ""),
        (Gitea, "x-forgejo-signature", &right, ""),
        (Gitea, "x-hub-signature-256", &right, "sha256="),
        (GenericHmac, "x-signature", &right, "sha256="),
        (Artifactory, "x-jfrog-event-auth", &right, ""),
        (Nexus, "x-nexus-webhook-signature", &nexus, ""),
    ] {
        check_proof(kind, &[], &[(name, &format!("{prefixed}{right}"))], true);
        check_proof(kind, &[], &[(name, &format!("{prefixed}{}", right.to_uppercase()))], true);
        for bad in [
            wrong.as_str(),
            "",
            "sha256=",
            "zz",
            &right[..right.len() - 2],
            &sha256("", "{}"),
            &format!("sha1={right}x"),
        ] {
            check_proof(kind, &[], &[(name, bad)], false);
        }
        check_proof(kind, &[], &[("x-other", right)], false);
        check_proof(kind, &[], &[], false);
        // Two are none: which one a proxy looked at is not ours to guess.
        check_proof(kind, &[], &[(name, right), (name, &wrong)], false);
    }
    check_proof(Artifactory, &[], &[("x-jfrog-event-auth", TOKEN)], true);
    let of_a_file = [("token", &*format!("{TOKEN}\n"))];
    check_proof(Artifactory, &of_a_file, &[("x-jfrog-event-auth", TOKEN)], true);
    check_proof(GenericHmac, &of_a_file, &[("x-signature", &right)], true);
    check_proof(Artifactory, &[], &[("x-jfrog-event-auth", &TOKEN[1..])], false);
}

#[test]
fn headers_that_the_secret_asks_for() {
    let asked = [("authorization", "Bearer abc\n")];
    for kind in [Distribution, Harbor, Acr, Ecr, Cdevents, Generic] {
        check_proof(kind, &[], &[], true);
        check_proof(kind, &asked, &[("authorization", "Bearer abc")], true);
        for bad in ["Bearer abd", "bearer abc", "abc", "", "Bearer abc "] {
            check_proof(kind, &asked, &[("authorization", bad)], false);
        }
        check_proof(kind, &asked, &[], false);
        check_proof(kind, &asked, &[("authorization", "Bearer abc"), ("authorization", "Bearer abc")], false);
    }
    let both = [("authorization", "Basic x"), ("api-key", "k")];
    check_proof(Ecr, &[("api-key", "k")], &[("x-api-key", "k")], true);
    check_proof(Ecr, &[("api-key", "k")], &[("authorization", "k")], false);
    check_proof(Ecr, &both, &[("x-api-key", "k"), ("authorization", "Basic x")], true);
    check_proof(Ecr, &both, &[("x-api-key", "k")], false);
}

#[test]
fn garbage_is_malformed_and_wakes_nobody() {
    for kind in ALL.into_iter().filter(|kind| !matches!(kind, Generic | GenericHmac | Gar)) {
        for body in ["", "null", "5", "{", "\"acme/app\"", "{\"a\":}", "{} {}", "<html>"] {
            let one = One::new(kind, "acme/app");
            let proof = proof(kind, body);
            let verdict = one.send(&headers(proof.iter().map(|(name, value)| (*name, value.as_str()))), body);
            assert_eq!((verdict, one.woken()), (Verdict::Malformed, 0), "{kind:?} {body:?}");
        }
    }
}
