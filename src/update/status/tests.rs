//! What a status keeps from the one before.

use super::super::batch::Earlier;
use super::*;
use crate::object::Problem;

fn up_to_date() -> Result<Outcome, Failure> {
    let revision = Revision { branch: "main".to_owned(), commit: "a".repeat(40).parse().unwrap() };
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
