//! Candidates at the gates, with a registry of literals behind them.

use super::*;
use crate::watch::policy::Policy;

const START: i64 = 1_800_000_000;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(START + seconds, 0).unwrap()
}

fn digest(of: char) -> Digest {
    format!("sha256:{}", of.to_string().repeat(64)).parse().unwrap()
}

fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

/// A registry, a policy, and what the controller remembers between runs.
struct World {
    policy: Policy,
    registry: BTreeMap<Tag, Option<Digest>>,
    unsigned: Vec<Digest>,
    platforms: Vec<Platform>,
    current: Option<ImageRef>,
    is_listed: bool,
    seen: Vec<TagVerdict>,
    asked: Vec<Need>,
}

impl World {
    fn new(yaml: &str, tags: &[(&str, char)]) -> Self {
        let spec = format!("{{image: app, policy: {{alphabetical: {{}}}}, {yaml}}}");
        Self {
            policy: Policy::parse(&serde_yaml::from_str(&spec).unwrap()).unwrap(),
            registry: tags.iter().map(|(text, of)| (tag(text), Some(digest(*of)))).collect(),
            unsigned: Vec::new(),
            platforms: vec!["linux/amd64".parse().unwrap()],
            current: None,
            is_listed: true,
            seen: Vec::new(),
            asked: Vec::new(),
        }
    }

    fn runs(mut self, text: &str, of: Option<char>) -> Self {
        self.current = Some(ImageRef { name: "app".to_owned(), tag: tag(text), digest: of.map(digest) });
        self
    }

    /// One run of the controller: what is missing is fetched, and what was judged is remembered.
    fn judge(&mut self, seconds: i64) -> Judgement {
        let current = self.current.clone();
        let is_newer = |candidate: &&Tag| current.as_ref().is_none_or(|current| **candidate > current.tag);
        let candidates: Vec<Tag> = self.registry.keys().rev().filter(is_newer).cloned().collect();
        let mut facts = Facts::default();
        self.asked.clear();
        for _ in 0..100 {
            let question = Question {
                policy: &self.policy,
                candidates: &candidates,
                current: current.as_ref(),
                is_listed: self.is_listed,
                seen: &self.seen,
                now: at(seconds),
            };
            match judge(&question, &facts) {
                Step::Done(judgement) => {
                    self.seen.clone_from(&judgement.stopped);
                    self.current =
                        judgement.chosen.clone().map(|(tag, digest)| ImageRef { name: "app".to_owned(), tag, digest });
                    return judgement;
                }
                Step::Ask(needs) => needs.into_iter().for_each(|need| self.find_out(need, &mut facts)),
            }
        }
        panic!("it never ends: {:?}", self.asked);
    }

    fn find_out(&mut self, need: Need, facts: &mut Facts) {
        assert!(!self.asked.contains(&need), "{need:?} is asked for twice");
        self.asked.push(need.clone());
        match need {
            Need::Digest(tag) => {
                let found = self.registry.get(&tag).cloned().flatten();
                facts.digests.insert(tag, found);
            }
            Need::Platforms(digest) => {
                facts.platforms.insert(digest, self.platforms.clone());
            }
            Need::Signer(digest) => {
                let signed =
                    if self.unsigned.contains(&digest) { Err("no signature".to_owned()) } else { Ok("me".to_owned()) };
                facts.signers.insert(digest, signed);
            }
        }
    }

    #[track_caller]
    fn check(&mut self, seconds: i64, chosen: &str, stopped: &[&str]) {
        let judgement = self.judge(seconds);
        let written = |(tag, digest): &(Tag, Option<Digest>)| {
            format!("{tag}{}", digest.as_ref().map_or(String::new(), |digest| format!("@{}", &digest.as_str()[7..8])))
        };
        assert_eq!(judgement.chosen.as_ref().map_or(String::new(), written), chosen, "{judgement:?}");
        let told: Vec<String> = judgement
            .stopped
            .iter()
            .map(|verdict| format!("{} {} {}", verdict.tag, verdict.verdict, verdict.rule))
            .collect();
        assert_eq!(told, stopped, "{judgement:?}");
    }
}

#[test]
fn without_gates_the_first_candidate_is_taken_once_it_is_known_to_be_there() {
    let mut world = World::new("", &[("1", 'a'), ("2", 'b')]).runs("1", None);
    world.check(0, "2", &[]);
    assert_eq!(world.asked, [Need::Digest(tag("2"))]);
    world.check(1, "2", &[]);
    assert_eq!(world.asked, [], "an unchanged choice asks nothing");
}

#[test]
fn a_tag_without_manifest_passes_the_choice_on() {
    let mut world = World::new("", &[("1", 'a'), ("2", 'b')]).runs("1", None);
    world.registry.insert(tag("3"), None);
    world.check(0, "2", &["3 refused manifest"]);
    world.check(1, "2", &["3 refused manifest"]);
}

#[test]
fn the_age_counts_from_the_first_sight_of_a_tag_with_its_digest() {
    let mut world = World::new("gates: {minAge: 60s}", &[("1", 'a'), ("2", 'b')]).runs("1", None);
    world.check(0, "1", &["2 waiting minAge"]);
    assert_eq!(world.judge(59).opens, Some(at(60)));
    assert_eq!(world.asked, [], "while it waits nothing is asked");
    world.registry.insert(tag("3"), Some(digest('c')));
    world.check(59, "1", &["3 waiting minAge", "2 waiting minAge"]);
    world.check(60, "2", &["3 waiting minAge"]);
    // The tag moves before it is old enough: the wait begins anew.
    world.registry.insert(tag("3"), Some(digest('d')));
    world.check(119, "2", &["3 waiting minAge"]);
    assert_eq!(world.judge(119).opens, Some(at(119 + 60)));
    world.check(179, "3", &[]);
}

#[test]
fn what_else_stops_a_tag_does_not_make_it_younger() {
    let spec = "gates: {minAge: 60s, windows: [{schedule: '0 9 * * *', duration: 1h}]}";
    let mut world = World::new(spec, &[("1", 'a'), ("2", 'b')]).runs("1", None);
    let opens = crate::window::opens(&world.policy.gates.windows, at(0)).unwrap();
    world.check(0, "1", &["2 waiting minAge"]);
    world.check(61, "1", &["2 waiting windows"]);
    assert_eq!(world.seen[0].first_seen, Some(at(0)));
    assert_eq!(world.judge(62).opens, Some(opens));
    world.check((opens - at(0)).num_seconds(), "2", &[]);
}

#[test]
fn only_so_many_wait_at_once_and_the_others_wait_for_their_turn() {
    let many: Vec<String> = (0..100).map(|number| format!("b{number:03}")).collect();
    let tags: Vec<(&str, char)> = many.iter().map(|text| (text.as_str(), 'b')).collect();
    let mut world = World::new("gates: {minAge: 60s}", &tags).runs("a", None);
    let first = world.judge(0);
    assert_eq!(first.stopped.iter().filter(|verdict| verdict.first_seen.is_some()).count(), TRACKED);
    assert_eq!(world.asked.len(), TRACKED);
    assert!(first.stopped.len() <= TRACKED + TOLD);
    world.check(60, "b099", &[]);
    // When those that wait are gone, as many others begin to.
    let mut world = World::new("gates: {minAge: 60s}", &tags).runs("a", None);
    world.judge(0);
    world.registry.retain(|tag, _| tag.as_str() < "b068");
    world.judge(1);
    assert_eq!(world.asked.len(), TRACKED);
}

#[test]
fn signatures_and_platforms_are_looked_at_for_what_would_be_taken() {
    let mut world = World::new(
        "platforms: [linux/amd64], gates: {verify: {cosign: {secretRef: {name: keys}}}}",
        &[("1", 'a'), ("2", 'b'), ("3", 'c')],
    );
    world.unsigned.push(digest('c'));
    world.check(0, "2@b", &["3 refused verify"]);
    world.platforms = vec!["linux/arm64".parse().unwrap()];
    world.unsigned.clear();
    world.check(1, "2@b", &["3 refused platforms"]);
    assert_eq!(world.asked.last(), Some(&Need::Platforms(digest('c'))), "what does not run here need not be signed");
}

#[test]
fn digests_are_kept_filled_in_or_followed() {
    let mut never = World::new("", &[("1", 'a')]).runs("1", Some('a'));
    never.check(0, "1", &[]);
    let mut once = World::new("digestReflectionPolicy: IfNotPresent", &[("1", 'b')]).runs("1", Some('a'));
    once.check(0, "1@a", &[]);
    assert_eq!(once.asked, []);
    let mut filled = World::new("digestReflectionPolicy: IfNotPresent", &[("1", 'b')]).runs("1", None);
    filled.check(0, "1@b", &[]);
    let mut always = World::new("digestReflectionPolicy: Always", &[("1", 'b')]).runs("1", Some('a'));
    always.check(0, "1@b", &[]);
    always.registry.insert(tag("1"), None);
    always.check(1, "1@b", &[]);
    always.is_listed = false;
    always.check(2, "1@b", &[]);
    assert_eq!(always.asked, [], "of what is no longer listed nothing is asked");
}

#[test]
fn a_moved_digest_goes_through_the_gates_like_another_tag() {
    let spec = "digestReflectionPolicy: Always, gates: {minAge: 60s, verify: {cosign: {secretRef: {name: keys}}}}";
    let mut world = World::new(spec, &[("stable", 'a')]).runs("stable", Some('a'));
    world.check(0, "stable@a", &[]);
    world.registry.insert(tag("stable"), Some(digest('b')));
    world.check(10, "stable@a", &["stable waiting minAge"]);
    world.registry.insert(tag("stable"), Some(digest('c')));
    world.check(69, "stable@a", &["stable waiting minAge"]);
    world.check(128, "stable@a", &["stable waiting minAge"]);
    world.unsigned.push(digest('c'));
    world.check(129, "stable@a", &["stable refused verify"]);
    world.unsigned.clear();
    world.check(130, "stable@c", &[]);
}

#[test]
fn nothing_is_chosen_before_a_gate_opens_for_the_first_time() {
    let mut world = World::new("gates: {minAge: 60s}", &[("1", 'a')]);
    world.check(0, "", &["1 waiting minAge"]);
    world.check(60, "1", &[]);
}

#[test]
fn a_clock_that_ran_ahead_or_a_status_from_the_end_of_time_stops_nothing_for_ever() {
    let mut world = World::new("gates: {minAge: 60s}", &[("1", 'a'), ("2", 'b')]).runs("1", None);
    world.check(86_400, "1", &["2 waiting minAge"]);
    world.check(0, "1", &["2 waiting minAge"]);
    world.check(60, "2", &[]);
    let mut world = World::new("gates: {minAge: 876000h}", &[("1", 'a'), ("2", 'b')]).runs("1", None);
    world.judge(0);
    world.seen[0].first_seen = Some(DateTime::<Utc>::MAX_UTC);
    world.check(1, "1", &["2 waiting minAge"]);
}
