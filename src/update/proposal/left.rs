//! Where proposals are or may be × what the spec wants now → what is left behind. The status remembers the places, as the spec that
//! named them is gone.

use crate::api::image_update::{ImageUpdateSpec, ProposalStatus};

/// So many places are remembered; the oldest goes first.
const PLACES: usize = 10;

/// Why a request is closed that nobody asks for any more.
pub const FAREWELL: &str = "Closed by tagboat, since its ImageUpdate does not propose here any more.";

/// A place where something was proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The place.
    pub place: ProposalStatus,
    /// Whether its branch is still the one to propose on.
    pub keeps_branch: bool,
}

/// Where the spec proposes, if it does: on another branch than `source`, the ConfigRepo's.
pub fn place(spec: &ImageUpdateSpec, source: &str) -> Option<ProposalStatus> {
    let branch = spec.push.as_ref()?.branch.clone().filter(|branch| branch != source)?;
    let request = spec.pull_request.as_ref();
    Some(ProposalStatus {
        branch,
        base: source.to_owned(),
        provider: request.map(|request| request.provider),
        secret_ref: request.and_then(|request| request.secret_ref.clone()),
        api_url: request.and_then(|request| request.api_url.clone()),
    })
}

/// What is left behind, by the places that are known.
pub fn left(known: &[ProposalStatus], spec: &ImageUpdateSpec, source: &str) -> Vec<Left> {
    let now = place(spec, source);
    let of = |place: &ProposalStatus| {
        let same = now.as_ref().filter(|now| now.branch == place.branch);
        // The branch that is read is no proposal any more, whatever it was.
        let keeps_branch = same.is_some() || place.branch == source;
        let is_wanted =
            same.is_some_and(|now| now.base == place.base && now.provider.is_some() >= place.provider.is_some());
        (!is_wanted).then(|| Left { place: place.clone(), keeps_branch })
    };
    known.iter().filter_map(of).collect()
}

/// The places with the one that the spec wants; nothing when it wants none, or that is known.
pub fn announced(known: &[ProposalStatus], spec: &ImageUpdateSpec, source: &str) -> Option<Vec<ProposalStatus>> {
    let now = place(spec, source).filter(|now| !known.contains(now))?;
    // Another login for the same request takes the place of the last one.
    let is_other = |place: &&ProposalStatus| {
        let is_there = place.branch == now.branch && place.base == now.base;
        !is_there || (place.provider.is_some() && now.provider.is_none())
    };
    let mut places: Vec<ProposalStatus> = known.iter().filter(is_other).cloned().collect();
    places.push(now);
    places.drain(..places.len().saturating_sub(PLACES));
    Some(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(push: &str) -> ImageUpdateSpec {
        serde_json::from_str(&format!(r#"{{"configRepoRef": {{"name": "fleet"}}{push}}}"#)).unwrap()
    }

    /// Places as `branch>base`, with `+` for a request; of what is left, `=` says that the branch is kept.
    #[track_caller]
    fn check(known: &[&str], push: &str, source: &str, expected_left: &[&str], expected_announced: Option<&[&str]>) {
        let read = |text: &&str| {
            let (branch, base) = text.split_once('>').unwrap();
            let provider = base.ends_with('+').then_some(crate::api::image_update::PullRequestProvider::Gitea);
            let (branch, base) = (branch.to_owned(), base.trim_end_matches('+').to_owned());
            ProposalStatus { branch, base, provider, secret_ref: None, api_url: None }
        };
        let show = |place: &ProposalStatus| {
            format!("{}>{}{}", place.branch, place.base, if place.provider.is_some() { "+" } else { "" })
        };
        let known: Vec<ProposalStatus> = known.iter().map(read).collect();
        let left = left(&known, &spec(push), source);
        let left: Vec<String> =
            left.iter().map(|left| show(&left.place) + if left.keeps_branch { "=" } else { "" }).collect();
        assert_eq!(left, expected_left);
        let announced = announced(&known, &spec(push), source);
        let announced: Option<Vec<String>> = announced.map(|all| all.iter().map(show).collect());
        assert_eq!(announced, expected_announced.map(|all| all.iter().map(|place| (*place).to_owned()).collect()));
    }

    #[test]
    fn what_is_left_behind() {
        let on_a = r#", "push": {"branch": "a"}"#;
        let asks = r#", "push": {"branch": "a"}, "pullRequest": {"provider": "gitea"}"#;
        check(&[], "", "main", &[], None);
        check(&[], on_a, "main", &[], Some(&["a>main"]));
        check(&[], asks, "main", &[], Some(&["a>main+"]));
        check(&["a>main+"], asks, "main", &[], None);
        check(&["a>main"], asks, "main", &[], Some(&["a>main+"]));
        // Without a request, on another branch, onto another base, not at all.
        check(&["a>main+"], on_a, "main", &["a>main+="], Some(&["a>main+", "a>main"]));
        check(&["a>main+", "a>main"], on_a, "main", &["a>main+="], None);
        check(&["b>main+"], on_a, "main", &["b>main+"], Some(&["b>main+", "a>main"]));
        check(&["a>main+"], asks, "next", &["a>main+="], Some(&["a>main+", "a>next+"]));
        check(&["a>main+", "b>main"], "", "main", &["a>main+", "b>main"], None);
        check(&["a>main"], r#", "push": {"branch": "main"}"#, "main", &["a>main"], None);
        // What was proposed on is read now.
        check(&["a>main+"], "", "a", &["a>main+="], None);
        let many: Vec<String> = (0..12).map(|n| format!("{n}>main")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let kept: Vec<&str> = many[3..].iter().copied().chain(["a>main"]).collect();
        check(&many, on_a, "main", &many, Some(&kept));
    }

    #[test]
    fn another_login_takes_the_place_of_the_last_one() {
        let asks =
            |more: &str| spec(&format!(r#", "push": {{"branch": "a"}}, "pullRequest": {{"provider": "gitea"{more}}}"#));
        let first = announced(&[], &asks(""), "main").unwrap();
        let other = asks(r#", "secretRef": {"name": "x"}"#);
        let next = announced(&first, &other, "main").unwrap();
        assert_eq!((next.len(), next[0].secret_ref.as_ref().unwrap().name.as_str()), (1, "x"));
        assert_eq!((left(&first, &other, "main"), announced(&next, &other, "main")), (vec![], None));
    }
}
