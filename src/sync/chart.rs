//! A Helm chart in a folder: which files a render takes, what helm is asked for, and what its answer means. Never runs anything.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::api::GitSync;
use crate::object::{Manifest, Problem};
use crate::sync::input::{Files, Tree};
use crate::sync::kustomize::{self, Entry, join};
use crate::sync::render::{self, Rendered};
use crate::sync::yaml;

mod failed;

pub use failed::template_problem;

/// The file that makes a folder a chart.
pub const CHART: &str = "Chart.yaml";
/// Where the chart lies among the files that helm reads.
pub const FOLDER: &str = "chart";
/// Where values lie.
const VALUES: &str = "values";
/// helm's own limit (`action.releaseNameMaxLen`).
const NAME: usize = 53;

/// How a chart is rendered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Release {
    /// Whether the spec says that the path is a chart.
    is_asked: bool,
    name: String,
    namespace: String,
    values_files: Vec<String>,
    ignore_missing: bool,
    values: Map<String, Value>,
    skip_crds: bool,
    kube_version: Option<String>,
    api_versions: BTreeSet<String>,
}

/// What a render of a chart reads.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chart {
    /// Its folder in the repository.
    pub root: String,
    /// The files as helm is given them: the chart's below [`FOLDER`].
    pub files: Tree,
    /// The files with values: as helm is given them, and in the repository.
    pub values: Vec<(String, String)>,
}

impl Release {
    /// What a GitSync says.
    pub fn of(sync: &GitSync) -> Self {
        let own = sync.metadata.namespace.clone().unwrap_or_else(|| "default".to_owned());
        let asked = sync.spec.helm.clone();
        let is_asked = asked.is_some();
        let helm = asked.unwrap_or_default();
        Self {
            is_asked,
            name: helm.release_name.or_else(|| sync.metadata.name.clone()).unwrap_or_default(),
            namespace: sync.spec.target_namespace.clone().unwrap_or(own),
            values_files: helm.values_files,
            ignore_missing: helm.ignore_missing_values_files,
            values: helm.values,
            skip_crds: helm.skip_crds,
            kube_version: helm.kube_version,
            api_versions: helm.api_versions.into_iter().collect(),
        }
    }

    /// For a chart that nobody says anything of.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), namespace: "default".to_owned(), ..Self::default() }
    }

    /// Adds what the cluster serves; the version that the spec names stays.
    pub fn know(&mut self, version: &str, api_versions: impl IntoIterator<Item = String>) {
        self.kube_version.get_or_insert_with(|| version.to_owned());
        self.api_versions.extend(api_versions);
    }

    /// Whether the names in a folder are a chart's, as far as this is concerned.
    ///
    /// # Errors
    /// When they should be and are not.
    pub fn is_chart(&self, path: &str, names: &[String]) -> Result<bool, Vec<Problem>> {
        let has = |wanted: &dyn Fn(&str) -> bool| names.iter().any(|name| wanted(name));
        let is_chart = has(&|name| name == CHART);
        if self.is_asked && !is_chart {
            return Err(vec![problem(path, "the folder has no Chart.yaml, so it is no chart as spec.helm has it")]);
        }
        Ok(is_chart && (self.is_asked || !has(&kustomize::is_kustomization)))
    }

    /// Reads the chart in a folder, and the values.
    ///
    /// # Errors
    /// Values files that are not there or lead out of the repository, and too many files.
    pub fn read(&self, root: &str, files: &mut dyn Files) -> Result<Chart, Vec<Problem>> {
        if self.name.len() > NAME || self.name.is_empty() {
            let reason = format!("the release's name {:?} must have 1 to {NAME} characters", self.name);
            return Err(vec![problem(root, &format!("{reason}; set spec.helm.releaseName"))]);
        }
        let mut chart = Chart { root: root.to_owned(), ..Chart::default() };
        let mut bytes = 0;
        for name in files.below(root) {
            let content = files.bytes(&join(root, &name).unwrap_or_default());
            bytes += content.len();
            if chart.files.len() == kustomize::FILES || bytes > kustomize::BYTES {
                let (files, size) = (kustomize::FILES, kustomize::BYTES >> 20);
                return Err(vec![problem(root, &format!("the chart has more than {files} files or {size} MiB"))]);
            }
            chart.files.insert(format!("{FOLDER}/{name}"), content);
        }
        let problems = self.values_files.iter().enumerate().filter_map(|(at, file)| {
            let read = self.values_file(root, file, files);
            let reason = match read {
                Ok(None) => return None,
                Ok(Some((path, content))) => {
                    let staged = format!("{VALUES}/{at}.yaml");
                    chart.files.insert(staged.clone(), content);
                    chart.values.push((staged, path));
                    return None;
                }
                Err(reason) => reason,
            };
            Some(Problem { file: String::new(), line: 0, reason: format!("spec.helm.valuesFiles[{at}]: {reason}") })
        });
        let problems: Vec<Problem> = problems.collect();
        if !problems.is_empty() {
            return Err(problems);
        }
        if !self.values.is_empty() {
            let staged = format!("{VALUES}/spec.json");
            chart.files.insert(staged.clone(), Value::Object(self.values.clone()).to_string().into_bytes());
            chart.values.push((staged, "spec.helm.values".to_owned()));
        }
        Ok(chart)
    }

    /// A values file's path in the repository and what it holds; none when it may be missing and is.
    fn values_file(&self, root: &str, file: &str, files: &mut dyn Files) -> Result<Option<(String, Vec<u8>)>, String> {
        if file.contains("://") {
            return Err(format!("{file} is on the network, which a render may not use; copy it into the repository"));
        }
        let from = if file.starts_with('/') { "" } else { root };
        let path = join(from, file).ok_or_else(|| format!("{file} leads out of the repository"))?;
        match files.look(&path) {
            Entry::File(content) => Ok(Some((path, content))),
            Entry::Missing if self.ignore_missing => Ok(None),
            Entry::Missing => Err(format!("{path} is not in the repository (symbolic links are not followed)")),
            Entry::Dir(_) => Err(format!("{path} is a folder; name a file")),
        }
    }

    /// The arguments of `helm template`, without the chart's folder. The release's name stands where it can be no option.
    pub fn arguments(&self, chart: &Chart) -> Vec<String> {
        let mut arguments = Vec::new();
        let mut add = |option: &str, value: &str| arguments.push(format!("--{option}={value}"));
        add("namespace", &self.namespace);
        chart.values.iter().for_each(|(staged, _)| add("values", staged));
        if let Some(version) = &self.kube_version {
            add("kube-version", version);
        }
        self.api_versions.iter().for_each(|version| add("api-versions", version));
        add("include-crds", if self.skip_crds { "false" } else { "true" });
        add("skip-tests", "true");
        arguments.extend(["--".to_owned(), self.name.clone()]);
        arguments
    }
}

/// The objects that helm printed, each with the template that it comes from. What runs only when a release is tested, deleted or rolled
/// back is left out.
pub fn objects(chart: &Chart, output: &[u8]) -> Rendered {
    let text = String::from_utf8_lossy(output);
    let sources = sources(&text);
    let mut rendered = render::from_chart(output);
    let source = |line: u32| sources.range(..=line).next_back().map(|(_, file)| chart.in_repository(file));
    for manifest in &mut rendered.manifests {
        manifest.file = source(manifest.line).unwrap_or_default();
        manifest.line = 0;
    }
    for problem in &mut rendered.problems {
        let file = source(problem.line).unwrap_or_default();
        *problem = Problem { file, line: 0, reason: format!("once rendered, {}", problem.reason) };
    }
    rendered.manifests.retain(is_applied);
    rendered
}

/// The lines at which helm says from which template the next object comes.
fn sources(text: &str) -> BTreeMap<u32, &str> {
    let mut after_start = false;
    let mut found = BTreeMap::new();
    for (number, line) in (1u32..).zip(text.lines()) {
        if let Some(file) = line.strip_prefix("# Source: ").filter(|_| after_start) {
            found.insert(number, file);
        }
        after_start = line == "---";
    }
    found
}

/// Whether an object is part of what runs; hooks of an install or an upgrade are, whatever becomes of them.
fn is_applied(manifest: &Manifest) -> bool {
    let hooks = manifest.body.pointer("/metadata/annotations/helm.sh~1hook").and_then(Value::as_str);
    let is_other = |hook: &str| {
        let hook = hook.trim();
        hook.starts_with("test") || hook.ends_with("-delete") || hook.ends_with("-rollback")
    };
    !hooks.is_some_and(|hooks| hooks.split(',').all(is_other))
}

impl Chart {
    /// The path in the repository of a file as helm calls it: the chart's name stands for its folder.
    fn in_repository(&self, file: &str) -> String {
        let within = file.split_once('/').map_or(file, |(_, rest)| rest);
        join(&self.root, within).unwrap_or_default()
    }

    /// Goes over all files, by their path from the repository's root.
    pub(super) fn each_file(&mut self, change: &mut dyn FnMut(&str, &mut Vec<u8>)) {
        for (staged, bytes) in &mut self.files {
            let values = self.values.iter().find(|(name, _)| name == staged).map(|(_, path)| path.clone());
            let own = || staged.strip_prefix(FOLDER)?.strip_prefix('/').and_then(|rest| join(&self.root, rest));
            change(&values.or_else(own).unwrap_or_default(), bytes);
        }
    }

    /// What it means that helm refused the chart. Values files that are no YAML, with their true lines, are the better reason.
    pub fn refused(&self, said: &str) -> Vec<Problem> {
        let broken = self.broken_values();
        if broken.is_empty() { vec![template_problem(said, self)] } else { broken }
    }

    fn broken_values(&self) -> Vec<Problem> {
        let own = [(format!("{FOLDER}/values.yaml"), join(&self.root, "values.yaml").unwrap_or_default())];
        let all = own.iter().chain(&self.values);
        let read = all.filter_map(|(staged, path)| Some(yaml::documents(path, self.files.get(staged)?).1));
        read.flatten().collect()
    }
}

fn problem(path: &str, reason: &str) -> Problem {
    Problem { file: path.to_owned(), line: 0, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests;
