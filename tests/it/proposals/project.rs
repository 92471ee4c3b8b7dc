//! A repository at Gitea with the objects that propose to it, what a person does there, and waits for what becomes of it.

use reqwest::Method;
use serde_json::{Value, json};
use tagboat::api::ImageUpdate;
use tagboat::api::image_update::{ImageUpdateStatus, PullRequestState};

use crate::setup::*;
use crate::support::cluster::audit::Mark;
use crate::support::git::{BRANCH, Repo, git};
use crate::support::gitea::Gitea;
use crate::support::registry::LOGIN;
use crate::support::traffic::Fault;
use crate::support::wait::{eventually, wait_for};
use crate::support::world::World;
use crate::support::{gitea_host, guard, next_number};

/// The branch of all proposals here.
pub const PROPOSAL: &str = "bot/images";
/// The person.
pub const ANN: (&str, &str) = ("ann", "anchor-9-ann");

/// See the module.
pub struct Project<'w> {
    pub world: &'w World,
    pub gitea: &'static Gitea,
    /// As it is at the host.
    pub repo: Repo,
    /// The person's own.
    mine: Repo,
}

impl<'w> Project<'w> {
    /// A repository with these files, a ConfigRepo that asks every second, and an ImageUpdate that proposes by pull request;
    /// `spec` is more of `pullRequest`, as flow YAML that begins with a comma.
    pub async fn new(world: &'w World, files: &[(&str, &str)], spec: &str) -> Self {
        let gitea = gitea_host().await;
        let name = world.namespace.replace("--", "-");
        let folder = gitea.empty_repo(&name, ANN).await;
        let url = format!("http://{}/{}/{name}.git", gitea.registry.host, LOGIN.0);
        let scratch = guard::folder().join(format!("{name}-mine-{}.git", next_number()));
        assert!(git().args(["init", "-q", "--bare", "-b", BRANCH]).arg(&scratch).status().unwrap().success());
        let (repo, mine) = (Repo::at(&name, &url, &folder), Repo::at(&name, &url, &scratch));
        let project = Self { world, gitea, repo, mine };
        project.mine.commit(files, "first commit");
        project.push(&format!("{BRANCH}:{BRANCH}"));
        // The host takes note of a push a little later.
        eventually("the first push", SOON, || project.try_call(Method::GET, "pulls", json!({}))).await;
        let token = gitea.token(&name, &["all"]).await;
        world.secret("git", "Opaque", json!({"username": LOGIN.0, "password": token})).await;
        apply(world, "ConfigRepo", "fleet", &format!("{{url: '{url}', interval: 1s, secretRef: {{name: git}}}}")).await;
        project.update(spec).await;
        project
    }

    /// The ImageUpdate.
    pub async fn update(&self, spec: &str) {
        let request = format!("pullRequest: {{provider: gitea{spec}}}");
        image_update(self.world, &format!("batchWindow: 10ms, push: {{branch: {PROPOSAL}}}, {request}")).await;
    }

    fn remote(&self) -> String {
        let direct = self.gitea.registry.direct();
        format!("http://{}:{}@{direct}/{}/{}.git", ANN.0, ANN.1, LOGIN.0, self.repo.name)
    }

    fn git(&self, args: &[&str]) {
        let done = git().arg("--git-dir").arg(&self.mine.folder).args(args).output().unwrap();
        assert!(done.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// The person pushes.
    pub fn push(&self, refspec: &str) {
        self.git(&["push", "-q", &self.remote(), refspec]);
    }

    /// The person commits files to the branch; the commit's id.
    pub fn commit(&self, files: &[(&str, &str)], message: &str) -> String {
        self.git(&["fetch", "-q", &self.remote(), &format!("+{BRANCH}:{BRANCH}")]);
        let id = self.mine.commit(files, message);
        self.push(&format!("{BRANCH}:{BRANCH}"));
        id
    }

    fn path(&self, rest: &str) -> String {
        format!("repos/{}/{}/{rest}", LOGIN.0, self.repo.name)
    }

    /// A call of the API by the person; panics unless it succeeds.
    pub async fn call(&self, method: Method, rest: &str, body: Value) -> Value {
        self.try_call(method, rest, body).await.unwrap_or_else(|words| panic!("{rest}: {words}"))
    }

    /// A call without a body that may fail.
    pub async fn answer(&self, method: Method, rest: &str) -> Result<Value, String> {
        self.try_call(method, rest, json!({})).await
    }

    async fn try_call(&self, method: Method, rest: &str, body: Value) -> Result<Value, String> {
        let answer = self.gitea.call(method, &self.path(rest), ANN).json(&body).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        if !status.is_success() {
            return Err(format!("{status} {text}"));
        }
        Ok(if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() })
    }

    /// All pull requests, the newest first.
    pub async fn requests(&self) -> Vec<Value> {
        let all = self.call(Method::GET, "pulls?state=all", json!({})).await;
        all.as_array().unwrap().clone()
    }

    /// The page of one, as the controller sees it.
    pub fn page(&self, number: u64) -> String {
        format!("http://{}/{}/pulls/{number}", self.gitea.registry.host, self.site())
    }

    /// Number, state and title of all of them, such as `2 open update x`; `merged` is a state here.
    pub async fn list(&self) -> Vec<String> {
        let state = |request: &Value| match request["merged"] == true {
            true => "merged".to_owned(),
            false => request["state"].as_str().unwrap().to_owned(),
        };
        let show = |request: &Value| {
            format!("{} {} {}", request["number"], state(request), request["title"].as_str().unwrap())
        };
        self.requests().await.iter().map(show).collect()
    }

    /// Waits until the requests are these.
    pub async fn listed(&self, expected: &[&str]) {
        eventually(&format!("requests {expected:?}"), SOON, || async {
            let list = self.list().await;
            if list == expected { Ok(()) } else { Err(format!("{list:?}")) }
        })
        .await;
    }

    /// The person merges, as soon as the host can.
    pub async fn merge(&self, number: u64) {
        eventually(&format!("merge {number}"), SOON, || {
            let path = format!("pulls/{number}/merge");
            async move { self.try_call(Method::POST, &path, json!({"Do": "merge"})).await }
        })
        .await;
    }

    /// The person closes it or opens it again.
    pub async fn set(&self, number: u64, state: &str) {
        self.call(Method::PATCH, &format!("pulls/{number}"), json!({"state": state})).await;
    }

    /// Waits for a status that looks at the branch's present head.
    pub async fn status(&self, what: &str, accept: impl Fn(&ImageUpdateStatus) -> bool) -> ImageUpdate {
        wait_for(&self.world.api::<ImageUpdate>(), "fleet", what, SOON, |update| {
            update.filter(|update| update.status.as_ref().is_some_and(&accept)).cloned()
        })
        .await
    }

    /// Waits until the status shows this request in this state.
    pub async fn shown(&self, number: u64, state: PullRequestState) -> ImageUpdate {
        let is_it = |status: &ImageUpdateStatus| {
            status.pull_request.as_ref().is_some_and(|request| request.number == number && request.state == state)
        };
        self.status(&format!("request {number} {state:?}"), is_it).await
    }

    /// Waits until the proposal is one commit on the branch's head and has this value.
    pub async fn proposed(&self, tag: &str) -> String {
        let file = marked(self.world, "app", tag);
        eventually(&format!("{tag} proposed on the head"), SOON, || async {
            let Some(id) = self.repo.branch(PROPOSAL) else { return Err("no branch".to_owned()) };
            let ahead = git_says(&self.repo, &["rev-list", "--parents", &format!("{BRANCH}..{id}")]);
            let text = git_says(&self.repo, &["show", &format!("{id}:app.yaml")]);
            let is_it = ahead == format!("{id} {}", self.repo.head()) && text == file.trim_end();
            if is_it { Ok(id) } else { Err(format!("{ahead}: {text}")) }
        })
        .await
    }

    /// Waits until there is no proposal.
    pub async fn withdrawn(&self) {
        eventually("no proposal branch", SOON, || async {
            self.repo.branch(PROPOSAL).map_or(Ok(()), |id| Err(format!("it is at {id}")))
        })
        .await;
    }

    fn site(&self) -> String {
        format!("{}/{}", LOGIN.0, self.repo.name)
    }

    /// The controller's calls of the API so far, as `GET pulls`; queries left out.
    pub fn calls(&self) -> Vec<String> {
        let (start, site) = (format!("/api/v1/repos/{}/", self.site()), self.site());
        let requests = self.gitea.registry.traffic().requests(&site);
        let rest = |path: &str| path.trim_start_matches(&start).split('?').next().unwrap_or_default().to_owned();
        requests.iter().map(|request| format!("{} {}", request.method, rest(&request.path))).collect()
    }

    /// What goes wrong with the controller's calls of the API.
    pub fn fault(&self, fault: Option<Fault>) {
        self.gitea.registry.traffic().fault(&self.site(), fault);
    }

    /// Waits for so many looks of the controller's from now on; all of its calls meanwhile, and what it wrote into the cluster.
    pub async fn looks(&self, count: usize) -> (Vec<String>, Vec<String>) {
        let mark: Mark = self.world.cluster.audit().mark();
        let before = self.calls().len();
        asked("the pull requests", before + count, || self.calls().len()).await;
        (self.calls().split_off(before), writes(self.world, mark))
    }
}
