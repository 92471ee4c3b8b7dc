//! Who asked the API server for what: its audit log, so that tests can count requests. The log is written before the answer ends.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::CONTROLLER;

/// One finished request, or a watch that began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiRequest {
    /// `get`, `list`, `watch`, `create`, `update`, `patch` (server-side apply too), `delete`.
    pub verb: String,
    /// The plural, such as `deployments`; empty for a path that is no resource.
    pub resource: String,
    /// Empty when cluster-wide.
    pub namespace: String,
    /// Empty for lists and for a create.
    pub name: String,
    /// Such as `status`; else empty.
    pub subresource: String,
    /// Who asked.
    pub user: String,
    /// As whom, when impersonating.
    pub impersonated: Option<String>,
    /// `User-Agent`.
    pub agent: String,
    /// The path with its query.
    pub uri: String,
    /// The HTTP status.
    pub code: u64,
}

/// A point in the log.
#[derive(Debug, Clone, Copy)]
pub struct Mark(u64);

/// See the module.
pub struct AuditLog {
    policy: PathBuf,
    log: PathBuf,
}

impl AuditLog {
    /// Leaves out what `programs` and the API server itself do.
    pub(super) fn new(folder: &Path, programs: &[&str]) -> Self {
        let mut quiet = vec!["system:apiserver"];
        quiet.extend(programs);
        let policy = json!({
            "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
            "rules": [{"level": "None", "users": quiet}, {"level": "None", "userGroups": ["system:unauthenticated"]}, {"level": "Metadata"}],
        });
        let audit = Self { policy: folder.join("audit-policy.yaml"), log: folder.join("audit.log") };
        std::fs::write(&audit.policy, policy.to_string()).unwrap();
        audit
    }

    pub(super) fn flags(&self) -> Vec<OsString> {
        let flag = |name: &str, path: &Path| [OsString::from(name), path.into()];
        let mut flags = flag("--audit-policy-file", &self.policy).to_vec();
        flags.extend(flag("--audit-log-path", &self.log));
        flags.extend(["--audit-log-mode=blocking", "--audit-log-maxsize=100000"].map(Into::into));
        flags
    }

    /// Now.
    pub fn mark(&self) -> Mark {
        Mark(std::fs::metadata(&self.log).map_or(0, |data| data.len()))
    }

    /// What was asked since.
    pub fn requests(&self, since: Mark) -> Vec<ApiRequest> {
        use std::io::{Read, Seek, SeekFrom};
        let mut bytes = Vec::new();
        let Ok(mut file) = std::fs::File::open(&self.log) else { return Vec::new() };
        file.seek(SeekFrom::Start(since.0.saturating_sub(1))).unwrap();
        file.read_to_end(&mut bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        // A mark may lie in a line that was just being written: that request is from before it.
        let whole = if since.0 == 0 { whole } else { whole.split_once('\n').map_or("", |(_, lines)| lines) };
        whole.lines().filter_map(|line| read(&serde_json::from_str(line).unwrap())).collect()
    }

    /// What one of the users asked since.
    pub fn requests_by(&self, user: &str, since: Mark) -> Vec<ApiRequest> {
        let name = if user == "tagboat" { CONTROLLER } else { user };
        self.requests(since).into_iter().filter(|request| request.user == name).collect()
    }
}

/// A watch counts when it begins, everything else when it is done.
fn read(event: &Value) -> Option<ApiRequest> {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let is_watch = text("/verb") == "watch";
    let counts = match text("/stage").as_str() {
        "ResponseStarted" => is_watch,
        "ResponseComplete" => !is_watch || event.pointer("/responseStatus/code").is_some_and(|code| code != 200),
        _ => false,
    };
    counts.then(|| ApiRequest {
        verb: text("/verb"),
        resource: text("/objectRef/resource"),
        namespace: text("/objectRef/namespace"),
        name: text("/objectRef/name"),
        subresource: text("/objectRef/subresource"),
        user: text("/user/username"),
        impersonated: event.pointer("/impersonatedUser/username").and_then(Value::as_str).map(str::to_owned),
        agent: text("/userAgent"),
        uri: text("/requestURI"),
        code: event.pointer("/responseStatus/code").and_then(Value::as_u64).unwrap_or_default(),
    })
}
