//! What a status keeps from the one before.

use super::super::batch::Earlier;
use super::*;
use crate::object::Problem;

fn up_to_date() -> Result<Outcome, Failure> {
    let revision = Revision { name: "main".to_owned(), commit: "a".repeat(40).parse().unwrap() };
    Ok(Outcome::UpToDate { revision, batch: Batch::default() })
}

fn pushed(problems: Vec<Problem>) -> Result<Outcome, Failure> {
    let batch = Batch { problems, ..Batch::default() };
    Ok(Outcome::Pushed { commit: "b".repeat(40).parse().unwrap(), branch: "main".to_owned(), batch })
}

#[test]
fn a_template_that_failed_is_told_until_it_is_mended() {
    let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let after = |before: &ImageUpdateStatus, outcome, generation| next(before, &outcome, Some(generation), None, now);
    let ready = |status: &ImageUpdateStatus| status.conditions[0].status == "True";
    let problem = Problem { file: TEMPLATE.to_owned(), line: 0, reason: "nothing is undefined".to_owned() };

    let failed = after(&ImageUpdateStatus::default(), pushed(vec![problem]), 1);
    assert!(!ready(&failed) && failed.last_push_commit.is_some());
    let still = after(&failed, up_to_date(), 1);
    assert_eq!((ready(&still), still.problems.len()), (false, 1), "the commit's own head is read next");
    assert_eq!(still.conditions[0].message, "spec.commit.messageTemplate: nothing is undefined");
    assert_eq!(after(&still, up_to_date(), 1), still, "and nothing moves");
    assert!(ready(&after(&still, up_to_date(), 2)), "the object was edited");
    assert!(ready(&after(&still, pushed(vec![]), 1)), "the next commit has the words that it should have");
}

#[test]
fn a_request_is_told_of_and_its_failure_loses_no_push() {
    use crate::api::image_update::PullRequestStatus;
    use crate::update::edit::{Change, Field};
    use crate::update::proposal::Proposal;
    let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let request = |state| PullRequestStatus { number: 7, url: "https://x/7".into(), state };
    let change = Change {
        file: "a.yaml".into(),
        line: 1,
        policy: "web:app".into(),
        field: Field::Tag,
        old: "1".into(),
        new: "2".into(),
    };
    let outcome = |proposal| {
        let batch = Batch { changes: vec![change.clone()], markers: 1, proposal, ..Batch::default() };
        Ok(Outcome::Pushed { commit: "b".repeat(40).parse().unwrap(), branch: "bot".to_owned(), batch })
    };
    let after = |before: &ImageUpdateStatus, proposal| next(before, &outcome(proposal), Some(1), None, now);
    let failure = Failure::retry(Reason::PullRequestFailed, "the api is down");
    let failed = after(&ImageUpdateStatus::default(), Proposal { failure: Some(failure), ..Proposal::default() });
    assert_eq!(failed.conditions[0].message, "the api is down");
    assert!(failed.last_push_commit.is_some() && failed.pull_request.is_none());
    let open = after(&failed, Proposal { request: Some(request(PullRequestState::Open)), ..Proposal::default() });
    assert_eq!(open.conditions[0].message, "1 new value waits in pull request 7 (https://x/7)");
    assert_eq!(request_note(&failed, &open).unwrap().1, "pull request 7 (https://x/7) is open");
    assert_eq!(request_note(&open, &open), None);
    let merged = after(&open, Proposal { request: Some(request(PullRequestState::Merged)), ..Proposal::default() });
    assert_eq!(
        request_note(&open, &merged).unwrap(),
        (Reason::ProposalEnded, "pull request 7 (https://x/7) is merged".into())
    );
}

#[test]
fn a_push_that_nobody_told_of_is_told_of() {
    let (before, now) = (ImageUpdateStatus::default(), DateTime::from_timestamp(1_800_000_000, 0).unwrap());
    let Ok(Outcome::UpToDate { revision, mut batch }) = up_to_date() else { unreachable!() };
    let commit: CommitId = "c".repeat(40).parse().unwrap();
    batch.earlier = Some(Earlier { commit: commit.clone(), branch: "main".to_owned(), changes: Vec::new() });
    let after = next(&before, &Ok(Outcome::UpToDate { revision, batch }), Some(1), None, now);
    let told = (after.last_push_commit.as_ref(), after.last_push_branch.as_deref(), after.last_push_time);
    assert_eq!(told, (Some(&commit), Some("main"), Some(now)));
    assert_eq!(next(&after, &up_to_date(), Some(1), None, now).last_push_commit, Some(commit), "and stays told");
}

#[test]
fn what_is_known_of_another_repository_counts_for_nothing() {
    let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let (one, other) = (repository("https://git/one"), repository("https://git/other"));
    assert_eq!((one.len(), one == other), (16, false));
    let at = |repository: &str, outcome: Result<Outcome, Failure>| {
        let mut outcome = outcome.unwrap();
        outcome.batch_mut().unwrap().repository = Some(repository.to_owned());
        Ok(outcome)
    };
    let first = next(&ImageUpdateStatus::default(), &at(&one, pushed(vec![])), Some(1), None, now);
    assert_eq!(first.observed_repository.as_ref(), Some(&one));
    assert_eq!(*here(&first, &one), first);
    let moved = next(&first, &at(&other, up_to_date()), Some(1), None, now);
    assert_eq!((moved.observed_repository.as_ref(), &moved.last_push_commit), (Some(&other), &None));
    assert_eq!((moved.last_push_branch, moved.last_push_time), (None, Some(now)), "pushes keep their distance");
    // A failure tells of no repository, and neither does a status of before.
    let failed = next(&first, &Err(Failure::retry(Reason::GitOperationFailed, "down")), Some(1), None, now);
    assert_eq!((failed.observed_repository.as_ref(), failed.last_push_commit.is_some()), (Some(&one), true));
    let old = ImageUpdateStatus { observed_repository: None, ..first };
    assert_eq!(here(&old, &other).last_push_commit, old.last_push_commit);
}
