//! Requests as hosts show them, and what they come to.

use super::*;
use crate::update::edit::Field;

fn change(policy: &str, new: &str) -> Change {
    let policy = format!("web:{policy}");
    Change { file: "a.yaml".into(), line: 1, policy, field: Field::Image, old: String::new(), new: new.into() }
}

fn request(number: u64, state: State, values: &[(&str, &str)]) -> PullRequest {
    let changes: Vec<Change> = values.iter().map(|(policy, new)| change(policy, new)).collect();
    PullRequest {
        handle: String::new(),
        number,
        url: format!("https://x/{number}"),
        state,
        title: "t".into(),
        body: format!("words\n\n<!--\n{}-->", trailers::write(&changes)),
        labels: Vec::new(),
        head: None,
        auto_merge: false,
    }
}

fn closed() -> State {
    State::Closed { by: Some("Ann".into()), at: DateTime::from_timestamp(1, 0) }
}

/// The newest request first; expected: `policy=value by request`, `+` where no newer one speaks of the place.
#[track_caller]
fn check(requests: &[PullRequest], expected: &[&str]) {
    let mut shown: Vec<String> = Vec::new();
    for refused in refused(requests, false, &[]) {
        let is_it = |(policy, value): &(&str, &str)| {
            refused.said == Said::of("a.yaml", &format!("web:{policy}"), "image", value)
        };
        let (policy, value) = [("app", "x:2"), ("app", "x:3"), ("db", "y:3")].into_iter().find(is_it).unwrap();
        let number = refused.url.trim_start_matches("https://x/");
        shown.push(format!("{policy}={value} by {number}{}", if refused.is_latest { "+" } else { "" }));
    }
    shown.sort();
    assert_eq!(shown, expected);
}

#[test]
fn what_people_said_no_to() {
    let request = |number, state, values: &[(&str, &str)]| request(number, state, values);
    check(&[], &[]);
    check(&[request(1, State::Open, &[("app", "x:2")])], &[]);
    check(&[request(1, State::Merged, &[("app", "x:2")])], &[]);
    check(&[request(1, closed(), &[("app", "x:2"), ("db", "y:3")])], &["app=x:2 by 1+", "db=y:3 by 1+"]);
    // The newest one with the value decides.
    check(&[request(2, State::Open, &[("app", "x:2")]), request(1, closed(), &[("app", "x:2")])], &[]);
    check(&[request(2, State::Merged, &[("app", "x:2")]), request(1, closed(), &[("app", "x:2")])], &[]);
    let both = [request(2, closed(), &[("app", "x:2")]), request(1, closed(), &[("app", "x:2")])];
    check(&both, &["app=x:2 by 2+"]);
    // Something newer is another matter, and so is another policy.
    let newer = [request(2, State::Open, &[("app", "x:3")]), request(1, closed(), &[("app", "x:2"), ("db", "y:3")])];
    check(&newer, &["app=x:2 by 1", "db=y:3 by 1+"]);
    // One that we closed has no trailers any more.
    let mut pointless = request(1, closed(), &[("app", "x:2")]);
    pointless.body = text::without_record(&pointless.body);
    check(&[pointless], &[]);
}

#[test]
fn what_the_host_does_not_say_any_more() {
    let mut old = request(1, State::Closed { by: None, at: None }, &[("app", "x:2")]);
    old.head = Some("a".repeat(40).parse().unwrap());
    let now = refused(std::slice::from_ref(&old), false, &[]);
    assert_eq!((now[0].by.as_str(), now[0].at.timestamp()), ("somebody", 0));
    assert_eq!(now[0].reason, "pull request 1 was closed unmerged by somebody (https://x/1)");
    let told = HoldStatus {
        file: "a.yaml".into(),
        line: 1,
        policy: "web:app".into(),
        field: "image".into(),
        value: "x:2".into(),
        by: "Ann".into(),
        at: DateTime::from_timestamp(9, 0).unwrap(),
        commit: "b".repeat(40).parse().unwrap(),
        reason: "why".into(),
        request: Some("https://x/1".into()),
    };
    let now = refused(&[old], false, std::slice::from_ref(&told));
    assert_eq!((now[0].by.as_str(), now[0].at.timestamp()), ("Ann", 9));
    let others = [request(2, State::Merged, &[("db", "y:3")])];
    assert_eq!(refused(&others, false, std::slice::from_ref(&told)), []);
    let cut = refused(&others, true, std::slice::from_ref(&told));
    assert_eq!((cut.len(), cut[0].by.as_str(), cut[0].reason.as_str()), (1, "Ann", "why"));
    let answered = [request(2, State::Merged, &[("app", "x:2")])];
    assert_eq!(refused(&answered, true, &[told]), []);
}

#[test]
fn what_to_do() {
    let words = Words { title: "t".into(), body: "b\nTagboat-Text: 1".into(), mark: "Tagboat-Text: 1".into() };
    let mut request = request(1, State::Open, &[]);
    assert_eq!(step(None, &words, &[], false), Step::Open);
    let anew = Step::Update { title: words.title.clone(), body: words.body.clone() };
    assert_eq!(step(Some(&request), &words, &[], false), anew);
    request.title = "a person's".into();
    request.body = "a person's words\r\n\r\nTagboat-Text: 1\r\n".into();
    assert_eq!(step(Some(&request), &words, &[], false), Step::Nothing, "what people wrote stays");
    let as_it_is = Step::Update { title: request.title.clone(), body: request.body.clone() };
    let labels = ["Images".to_owned()];
    assert_eq!(step(Some(&request), &words, &labels, false), as_it_is);
    assert_eq!(step(Some(&request), &words, &[], true), as_it_is);
    request.labels = vec!["images".into(), "mine".into()];
    request.auto_merge = true;
    assert_eq!(step(Some(&request), &words, &labels, true), Step::Nothing);
}

#[test]
fn which_request_counts() {
    let all = [request(3, closed(), &[]), request(2, State::Open, &[]), request(1, State::Merged, &[])];
    assert_eq!(open(&all), Some(1));
    assert_eq!(told(&all).map(|told| (told.number, told.state)), Some((2, PullRequestState::Open)));
    assert_eq!(told(&all[..1]).map(|told| (told.number, told.state)), Some((3, PullRequestState::Closed)));
    let ours = |number, state| request(number, state, &[("app", "x:2")]);
    let several = [ours(5, closed()), ours(4, State::Open), request(3, State::Open, &[]), ours(2, State::Open)];
    assert_eq!((open(&several), doubles(&several).collect::<Vec<_>>()), (Some(3), vec![1]), "3 is a person's own");
    assert_eq!(doubles(&all).count() + doubles(&[]).count(), 0);
    assert_eq!((told(&[]), is_merged(&all), is_merged(&all[2..])), (None, false, true));
}

#[test]
fn older_requests_are_remembered() {
    let numbers = |now: &[u64], before: &[u64]| {
        let all = |numbers: &[u64]| -> Vec<_> { numbers.iter().map(|n| request(*n, closed(), &[])).collect() };
        let (mut now, before) = (all(now), all(before));
        add_older(&mut now, &before);
        now.iter().map(|request| request.number).collect::<Vec<_>>()
    };
    assert_eq!(numbers(&[9, 7], &[7, 5, 2]), [9, 7, 5, 2]);
    assert_eq!(numbers(&[9, 5], &[7, 5, 2]), [9, 5, 2], "one that was taken away is gone");
    assert_eq!((numbers(&[], &[7]), numbers(&[7], &[])), (vec![], vec![7]));
}

#[test]
fn whose_a_commit_is() {
    let message = format!("update\n\n{}", trailers::write(&[change("app", "x:2")]));
    let (bot, ann) = (("tagboat", "t@x"), ("Ann", "a@x"));
    let ours = Head { author: bot, committer: bot, parents: 1, message: &message };
    assert!(is_ours(&ours, "web"));
    assert!(!is_ours(&ours, "other"), "of another namespace");
    assert!(!is_ours(&Head { committer: ann, ..ours }, "web"), "amended");
    assert!(!is_ours(&Head { parents: 2, ..ours }, "web"), "a merge");
    assert!(!is_ours(&Head { message: "fix it", ..ours }, "web"));
}
