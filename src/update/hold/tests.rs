//! Pasts as lines, newest first: `WHO OLD>NEW`, where `us` is tagboat, `-` is no value, `A|B>NEW` a merge and `A|B^BASE>NEW` one with
//! a base; and what they hold.

use proptest::prelude::*;

use super::*;
use OnRevert::{Hold, SkipTag};

fn asked(on_revert: OnRevert, now: &str, choice: &str) -> Asked {
    let number = |value: &str| value.parse::<f64>().ok();
    Asked {
        file: "app.yaml".into(),
        line: 3,
        place: Place { policy: "web:app".into(), field: Field::Tag, who: "the marker".into(), ordinal: 0 },
        now: now.into(),
        choice: choice.into(),
        on_revert,
        is_newer: number(now) > number(choice),
    }
}

fn cause(by: &str, n: usize) -> Cause {
    let commit = format!("{:08x}{}", n, "0".repeat(32)).parse().unwrap();
    Cause { by: by.into(), at: DateTime::UNIX_EPOCH, commit, subject: "why".into() }
}

fn recorded(by: &str, new: &str) -> Vec<Recorded> {
    let (policy, file, field) = ("web:app".into(), "app.yaml".into(), "tag".into());
    let ours = Recorded { policy, file, line: 9, field, old: String::new(), new: new.into() };
    match by {
        "us" => vec![ours],
        "them" => vec![Recorded { policy: "web:other".into(), ..ours }],
        _ => Vec::new(),
    }
}

fn change(new: &str) -> ChangeStatus {
    let (policy, file, field) = ("web:app".into(), "app.yaml".into(), "tag".into());
    ChangeStatus { file, line: 3, policy, field, old: String::new(), new: new.into() }
}

/// Goes back through a past. Who holds the choice, and how; after a merge the past of the side that was taken comes next.
fn held(asked: &Asked, past: &[&str], wrote: &[ChangeStatus]) -> Option<HoldStatus> {
    let mut search = Search::new(asked, wrote);
    for (n, line) in past.iter().enumerate() {
        let (by, step) = line.split_once(' ').unwrap();
        let (before, after) = step.split_once('>').unwrap();
        let values =
            |text: &str| -> Vec<_> { text.split('|').map(|value| (value != "-").then(|| value.to_owned())).collect() };
        let (before, bases) = match before.split_once('^') {
            Some((before, bases)) => (values(before), values(bases)),
            None => (values(before), Vec::new()),
        };
        let recorded = recorded(by, after);
        if search.see(&Seen { cause: cause(by, n), recorded: &recorded, before: &before, bases: &bases }).is_none() {
            break;
        }
    }
    let number = |value: &str| value.parse::<f64>().ok();
    search.held(&|value| number(value) > number(&asked.now))
}

#[track_caller]
fn check(asked: &Asked, past: &[&str], wrote: &[&str], expected: &str) {
    let wrote: Vec<_> = wrote.iter().map(|new| change(new)).collect();
    let said = held(asked, past, &wrote).map_or_else(String::new, |held| held.reason);
    assert_eq!(said, expected, "{past:?}");
}

#[test]
fn what_a_person_moved_away_from_is_held() {
    let away = "moved from 1.2 to 1.1 by Ann in 00000000 (why)";
    for (now, choice, past, expected) in [
        ("1.1", "1.2", vec!["Ann 1.2>1.1", "us 1.1>1.2"], away),
        ("1.1", "1.3", vec!["Ann 1.2>1.1", "us 1.1>1.2"], ""),
        ("1.1", "1.2", vec!["us 1.0>1.1"], ""),
        ("1.1", "1.2", vec![], ""),
        // Reverting the revert, and reverting that.
        ("1.1", "1.2", vec!["Ann 1.2>1.1", "Bob 1.1>1.2", "Cid 1.2>1.1", "us 1.1>1.2"], away),
        (
            "1.1",
            "1.2",
            vec!["Ann 1.15>1.1", "Bob 1.2>1.15", "us 1.1>1.2"],
            "moved from 1.2 to 1.15 by Bob in 00000001 (why)",
        ),
        // Whoever wrote it: a squash without trailers, a person, the first commit.
        ("1.1", "1.2", vec!["Ann 1.2>1.1", "Bob 1.1>1.2", "Bob ->1.1"], away),
        ("1.1", "1.2", vec!["Ann 1.2>1.1", "Bob ->1.2"], away),
        // What lies below a step of ours is answered.
        ("1.3", "1.2", vec!["us 1.1>1.3", "Ann 1.2>1.1", "us 1.1>1.2"], ""),
        ("1.1", "1.2", vec!["us 1.2>1.1", "Ann 1.3>1.2"], ""),
        // We wrote it again after a release, and she took it back again.
        ("1.1", "1.2", vec!["Ann 1.2>1.1", "us 1.1>1.2", "Bob 1.2>1.1", "us 1.1>1.2"], away),
    ] {
        check(&asked(SkipTag, now, choice), &past, &[], expected);
    }
}

#[test]
fn two_writers_of_one_value() {
    let mine = asked(SkipTag, "1.1", "1.2");
    let other = "two writers: policy web:other writes this value too, moved from 1.2 to 1.1 by them in 00000000 (why)";
    check(&mine, &["them 1.2>1.1", "us 1.1>1.2"], &[], other);
    check(&mine, &["them 1.0>1.1", "us 1.1>1.0"], &[], "");
    let forth = "two writers: another tagboat with a policy of this name goes back and forth between 1.2 and 1.1 \
                 (00000000, 00000001, 00000002), last by us in 00000000 (why)";
    check(&mine, &["us 1.2>1.1", "us 1.1>1.2", "us 1.2>1.1", "us 1.1>1.2"], &[], forth);
    // Once there and back is a tag that was deleted and came again.
    check(&mine, &["us 1.2>1.1", "us 1.1>1.2", "us 1.0>1.1"], &[], "");
    check(&mine, &["us 1.2>1.1", "us 1.1>1.2", "Ann 1.2>1.1"], &[], "");
    check(&mine, &["us 1.2>1.1", "us 1.1>1.2", "us 1.3>1.1"], &[], "");
    check(&mine, &["us 1.2>1.1", "us 1.1>1.2", "us ->1.1"], &[], "");
    let held = held(&mine, &["them 1.2>1.1"], &[]).unwrap();
    assert!(is_rivalry(&held) && !is_rivalry(&HoldStatus { reason: "moved".into(), ..held.clone() }));
}

#[test]
fn a_value_that_was_not_there_for_a_while() {
    for (past, expected) in [
        // The file was broken, or gone, or without its marker: who put it back at another value moved it.
        (vec!["Ann ->1.1", "Bob 1.2>-", "us 1.1>1.2"], "moved from 1.2 to 1.1 by Ann in 00000000 (why)"),
        (vec!["Ann ->1.1", "Bob ->-", "Bob 1.2>-", "us 1.1>1.2"], "moved from 1.2 to 1.1 by Ann in 00000000 (why)"),
        // At the same value nobody did.
        (vec!["Ann ->1.1", "Bob 1.1>-", "Cid 1.2>1.1", "us 1.1>1.2"], "moved from 1.2 to 1.1 by Cid in 00000002 (why)"),
        (vec!["Ann ->1.1", "Bob 1.1>-", "us 1.0>1.1"], ""),
    ] {
        check(&asked(SkipTag, "1.1", "1.2"), &past, &[], expected);
    }
}

#[test]
fn a_merge_is_a_step_only_where_it_has_its_own_value() {
    let mine = asked(SkipTag, "1.1", "1.2");
    check(
        &mine,
        &["Bob 1.2|1.1>1.1", "Ann 1.2>1.1", "us 1.1>1.2"],
        &[],
        "moved from 1.2 to 1.1 by Ann in 00000001 (why)",
    );
    check(&mine, &["Bob 1.2|1.0>1.1"], &[], "moved from 1.2 to 1.1 by Bob in 00000000 (why)");
    check(&mine, &["Bob -|1.2>1.1"], &[], "moved from 1.2 to 1.1 by Bob in 00000000 (why)");
    let side = |before: [&str; 2]| {
        let before = before.map(|value| (value != "-").then(|| value.to_owned()));
        Search::new(&mine, &[]).see(&Seen { cause: cause("Bob", 0), recorded: &[], before: &before, bases: &[] })
    };
    assert_eq!((side(["1.0", "1.1"]), side(["-", "1.0"]), side(["-", "-"])), (Some(1), Some(1), Some(0)));
}

#[test]
fn a_merge_that_drops_the_choice_holds_it() {
    let mine = asked(SkipTag, "1.1", "1.2");
    let dropped = "moved from 1.2 to 1.1 in a merge by Bob in 00000000 (why)";
    for (past, expected) in [
        // Whichever side is the first.
        (vec!["Bob 1.2|1.1^1.1>1.1", "us 1.0>1.1"], dropped),
        (vec!["Bob 1.1|1.2^1.1>1.1", "us 1.0>1.1"], dropped),
        // Both sides changed it, and one of them was chosen.
        (vec!["Bob 1.2|1.1^1.0>1.1", "Ann 1.0>1.1"], dropped),
        (vec!["Bob 1.0|1.2^1.1>1.1", "Ann 1.0>1.1"], dropped),
        // A branch that still has what the other side has moved away from.
        (vec!["Bob 1.1|1.2^1.2>1.1", "us 1.2>1.1"], ""),
        (vec!["Bob 1.2|1.1^1.2>1.1", "us 1.2>1.1"], ""),
        (vec!["Bob 1.2|1.1^1.2>1.1", "Ann 1.2>1.1"], "moved from 1.2 to 1.1 by Ann in 00000001 (why)"),
        // Of several bases one is enough for doubt, and so is none.
        (vec!["Bob 1.1|1.2^1.1|1.2>1.1", "us 1.0>1.1"], ""),
        (vec!["Bob 1.1|1.2>1.1", "us 1.0>1.1"], ""),
        // Something else was dropped.
        (vec!["Bob 1.1|1.3^1.1>1.1", "us 1.0>1.1"], ""),
        (vec!["Bob 1.1|-^1.1>1.1", "us 1.0>1.1"], ""),
    ] {
        check(&mine, &past, &[], expected);
    }
}

#[test]
fn a_step_forward_holds_until_the_choice_is_newer() {
    let past = ["Ann 1.2>1.5", "us 1.1>1.2"];
    let forward = "moved forward to 1.5 by Ann in 00000000 (why)";
    for (choice, expected) in [("1.3", forward), ("1.6", ""), ("1.2", "moved from 1.2 to 1.5 by Ann in 00000000 (why)")]
    {
        check(&asked(SkipTag, "1.5", choice), &past, &[], expected);
    }
    let two = ["Ann 1.4>1.5", "Bob 1.2>1.4", "us 1.1>1.2"];
    check(&asked(SkipTag, "1.5", "1.3"), &two, &[], forward);
}

#[test]
fn a_step_forward_from_a_value_that_was_never_ours_holds_too() {
    let mine = asked(SkipTag, "1.5", "1.3");
    let forward = "moved forward to 1.5 by Ann in 00000000 (why)";
    for (past, wrote, expected) in [
        (vec!["Ann 1.2>1.5", "Bob 1.1>1.2"], vec![], forward),
        (vec!["Ann 1.2>1.5", "Bob 1.1>1.2"], vec!["1.2"], forward),
        (vec!["Ann 1.2>1.5", "Bob ->1.2"], vec![], forward),
        // From what the policy cannot order.
        (vec!["Ann x>1.5", "Bob ->x"], vec![], forward),
        // The file, or the marker, came with this value.
        (vec!["Ann ->1.5"], vec![], ""),
        (vec![], vec![], ""),
        (vec!["Ann ->1.5", "Bob 1.5>-", "Bob ->1.5"], vec![], ""),
        // Put back at another value than it had.
        (vec!["Ann ->1.5", "Bob 1.2>-", "Bob ->1.2"], vec![], forward),
        // Only the last step counts, and that was one back.
        (vec!["Ann 1.9>1.5", "Bob 1.2>1.9", "Bob ->1.2"], vec![], ""),
        // A robot's step is no decision of a person's.
        (vec!["them 1.2>1.5", "Ann ->1.2"], vec![], ""),
        (vec!["us 1.2>1.5", "Ann ->1.2"], vec![], ""),
        // What we proposed came in by a squash that lost the trailers.
        (vec!["Ann 1.2>1.5", "Bob ->1.2"], vec!["1.5"], ""),
    ] {
        check(&mine, &past, &wrote, expected);
    }
    for choice in ["1.5", "1.6"] {
        check(&asked(SkipTag, "1.5", choice), &["Ann 1.2>1.5", "Bob ->1.2"], &[], "");
    }
}

#[test]
fn on_revert_hold_holds_whatever_is_chosen_next() {
    let past = ["Ann 1.2>1.1", "us 1.1>1.2"];
    let held = "moved from 1.2 to 1.1, and onRevert is Hold, by Ann in 00000000 (why)";
    check(&asked(Hold, "1.1", "1.3"), &past, &[], held);
    check(&asked(Hold, "1.1", "1.2"), &past, &[], "moved from 1.2 to 1.1 by Ann in 00000000 (why)");
    check(&asked(Hold, "1.1", "1.3"), &["Ann 1.2>1.1", "Bob 1.1>1.2"], &["1.2"], held);
    check(&asked(Hold, "1.1", "1.3"), &["us 1.0>1.1", "Ann 1.2>1.0", "us 1.0>1.2"], &[], "");
}

#[test]
fn a_rewritten_branch_is_known_by_the_commit_that_is_gone() {
    let (mine, lost, head) = (asked(SkipTag, "1.1", "1.2"), cause("us", 7).commit, cause("Ann", 1));
    let said = |then: Option<&str>, wrote: &[&str]| {
        let wrote: Vec<_> = wrote.iter().map(|new| change(new)).collect();
        mine.rewritten(&lost, then, &wrote, &head)
    };
    let held = said(Some("1.2"), &[]).unwrap();
    assert_eq!((held.by.as_str(), &held.commit), ("Ann", &lost));
    assert_eq!(
        held.reason,
        "the branch was rewritten to 00000001 by Ann: commit 00000007, which had 1.2, is gone from it"
    );
    assert!(said(None, &["1.2"]).is_some() && said(Some("1.0"), &["1.0"]).is_none() && said(None, &[]).is_none());

    // What was told stays as long as its commit is gone.
    let told = |asked: &Asked, is_lost: bool| {
        asked.told(std::slice::from_ref(&held), &mut |_| Ok::<_, std::convert::Infallible>(is_lost)).unwrap()
    };
    assert_eq!((told(&mine, true), told(&mine, false)), (Some(held.clone()), None));
    assert_eq!(told(&asked(SkipTag, "1.1", "1.3"), true), None);
    assert_eq!(told(&asked(Hold, "1.1", "1.3"), true).map(|held| held.value), Some("1.3".to_owned()));
    assert_eq!(told(&Asked { line: 4, ..mine.clone() }, true), None);
}

#[test]
fn a_name_and_a_digest_go_with_their_tag() {
    let of = |file: &str, field: Field| {
        let asked = asked(SkipTag, "1.1", "1.2");
        Asked { file: file.into(), place: Place { field, ..asked.place.clone() }, ..asked }
    };
    let all =
        [of("a", Field::Name), of("a", Field::Tag), of("a", Field::Digest), of("b", Field::Name), of("c", Field::Tag)];
    let all: Vec<&Asked> = all.iter().collect();
    let hold = held(all[0], &["Ann 1.2>1.1"], &[]).unwrap();
    let left = |held: &[usize]| -> Vec<usize> {
        let held = held.iter().map(|index| (*index, hold.clone())).collect();
        with_their_tags(&all, held).into_iter().map(|(index, _)| index).collect()
    };
    assert_eq!(left(&[0, 1, 2, 3, 4]), [0, 1, 2, 3, 4]);
    assert_eq!(left(&[0, 2, 3]), [3], "a gets another tag, b has none");
}

#[test]
fn the_tag_of_a_value() {
    assert_eq!(tag_of(Field::Tag, "1.2"), Some("1.2".into()));
    assert_eq!(tag_of(Field::Image, "x.io:5000/app:1.2"), Some("1.2".into()));
    assert_eq!((tag_of(Field::Image, "a b"), tag_of(Field::Name, "x.io/app")), (None, None));
}

proptest! {
    /// Rule by rule, as a person would say it, over any line of steps.
    #[test]
    fn any_past(values in prop::collection::vec((0..4_u8, any::<bool>()), 1..12), choice in 0..5_u8) {
        let names: Vec<String> = values.iter().map(|(value, _)| format!("1.{value}")).collect();
        let choice = format!("1.{choice}");
        prop_assume!(names[0] != choice);
        // From each value, newest first, to the one before; equal ones are no step.
        let steps: Vec<(usize, bool)> =
            (0..names.len()).filter(|n| names.get(n + 1) != Some(&names[*n])).map(|n| (n, values[n].1)).collect();
        let by: Vec<String> = (0..names.len()).map(|n| format!("p{n}")).collect();
        let line = |n: usize, ours: bool| {
            let before = names.get(n + 1).map_or("-", String::as_str);
            format!("{} {before}>{}", if ours { "us" } else { &by[n] }, names[n])
        };
        let past: Vec<String> = steps.iter().map(|(n, ours)| line(*n, *ours && *n + 1 < names.len())).collect();
        let past: Vec<&str> = past.iter().map(String::as_str).collect();
        let is_ours = |(n, ours): &(usize, bool)| *ours && *n + 1 < names.len();
        let until_ours = steps.iter().take_while(|step| !is_ours(step));
        let away = until_ours.clone().find(|(n, _)| names.get(n + 1) == Some(&choice)).map(|(n, _)| by[*n].clone());
        let ours = steps.iter().position(is_ours);
        // Above what we wrote any step counts; where we wrote nothing, the last one if it was forward.
        let is_forward = names[0] > choice
            && match ours {
                Some(at) => at > 0,
                None => steps.first().is_some_and(|(n, _)| names.get(n + 1).is_some_and(|before| *before < names[0])),
            };
        // Three steps of ours between the same two values, right below the head, are those of two robots.
        let back_and_forth = (0..3).all(|n| {
            let to = if n % 2 == 0 { &names[0] } else { &choice };
            let from = if n % 2 == 0 { &choice } else { &names[0] };
            steps.get(n).is_some_and(|step| is_ours(step) && names[step.0] == *to && names.get(step.0 + 1) == Some(from))
        });
        let person = away.or_else(|| is_forward.then(|| by[steps[0].0].clone()));
        let expected = if back_and_forth { Some("us".to_owned()) } else { person };
        let found = held(&asked(SkipTag, &names[0], &choice), &past, &[]).map(|held| held.by);
        prop_assert_eq!(found, expected, "{:?}", past);
    }
}

#[test]
fn a_closed_request_holds_what_it_had() {
    let refused = |value: &str, is_latest| Refused {
        said: Said::of("app.yaml", "web:app", "tag", value),
        is_latest,
        by: "Ann".into(),
        at: DateTime::UNIX_EPOCH,
        commit: None,
        reason: "pull request 7 was closed".into(),
        url: "https://x/7".into(),
    };
    let head: CommitId = "c".repeat(40).parse().unwrap();
    let held = |on_revert, choice: &str, refused: Refused| asked(on_revert, "1", choice).refused(&[refused], &head);
    let hold = held(SkipTag, "2", refused("2", true)).unwrap();
    assert_eq!((hold.request.as_deref(), hold.by.as_str(), &hold.commit), (Some("https://x/7"), "Ann", &head));
    assert_eq!(held(SkipTag, "3", refused("2", true)), None, "something newer");
    assert_eq!(held(Hold, "3", refused("2", true)).unwrap().value, "3");
    assert_eq!(held(Hold, "3", refused("2", false)), None, "a later request was not closed");
    for said in [Said::of("app.yaml", "web:app", "digest", "2"), Said::of("b.yaml", "web:app", "tag", "2")] {
        assert_eq!(held(Hold, "2", Refused { said, ..refused("2", true) }), None, "another place");
    }
}
