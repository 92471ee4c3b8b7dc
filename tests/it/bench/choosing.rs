//! Choosing one of very many tags, beside a plain loop that only reads and keeps the greatest.

use std::hint::black_box;
use std::time::{Duration, Instant};

use regex::Regex;
use serde_json::{Value, json};
use tagboat::image::{Tag, TagList};
use tagboat::watch::decide::choose;
use tagboat::watch::policy::Policy;

use super::table::{Row, Table, Times};
use super::{Sizes, progress};

const PATTERN: &str = r"^main-[0-9a-f]{7}-(?P<ts>[0-9]+)$";
/// For 100,000 tags.
const GOALS: [Duration; 2] = [Duration::from_micros(1500), Duration::from_millis(12)];

pub fn run(sizes: Sizes, table: &mut Table) {
    progress("choosing");
    let versions = listed((0..sizes.tags).map(|n| format!("{}.{}.{}", n % 10, n / 1000, n / 10 % 100)));
    let builds = listed((0..sizes.tags).map(|n| {
        let commit = n.wrapping_mul(2_654_435_761) & 0x0fff_ffff;
        format!("main-{commit:07x}-{}", 1_700_000_000 + n)
    }));
    let semver = policy(json!({"policy": {"semver": {"range": ">=1.0.0 <8.0.0"}}}));
    let numerical = policy(json!({
        "filterTags": {"pattern": PATTERN, "extract": "$ts"}, "policy": {"numerical": {"order": "asc"}},
    }));
    let pattern = Regex::new(PATTERN).unwrap();
    let [by_version, by_number] = GOALS;
    let name = format!("choose: semver range, {} tags", sizes.tags);
    table.add(measure(&name, &versions, &semver, by_version, sizes.tag_rounds, greatest_version));
    let name = format!("choose: regex and number, {} tags", sizes.tags);
    table.add(measure(&name, &builds, &numerical, by_number, sizes.tag_rounds, |tags| greatest_number(&pattern, tags)));
}

/// As registries list them.
fn listed(tags: impl Iterator<Item = String>) -> TagList {
    tags.map(|tag| tag.parse::<Tag>().unwrap()).collect()
}

fn policy(mut spec: Value) -> Policy {
    spec["image"] = "registry.example.com/acme/app".into();
    Policy::parse(&serde_json::from_value(spec).unwrap()).unwrap()
}

fn measure(
    name: &str,
    tags: &TagList,
    policy: &Policy,
    goal: Duration,
    rounds: usize,
    least: impl Fn(&TagList) -> Option<&str>,
) -> Row {
    let (mut floor, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let begin = Instant::now();
        assert!(black_box(least(black_box(tags))).is_some());
        floor.push(begin.elapsed());
        let begin = Instant::now();
        let choice = black_box(choose(policy, None, black_box(tags)));
        ours.push(begin.elapsed());
        assert!(choice.chosen.is_some());
    }
    let (floor, ours) = (Times::new(&floor, 1), Times::new(&ours, 1));
    let is_met = ours.median() <= goal;
    let counts = format!("{} ns a tag", ours.median().as_nanos() / tags.len() as u128);
    let goal = format!("≤ {:.1} ms", goal.as_secs_f64() * 1e3);
    Row::new(name).times(floor, ours).counts(counts).memory("–").goal(goal, is_met)
}

/// Byte by byte: splitting and parsing with the standard library takes four times as long, which would flatter us.
fn greatest_version(tags: &TagList) -> Option<&str> {
    let mut best: Option<([u64; 3], &str)> = None;
    for tag in tags.iter() {
        let Some(numbers) = numbers(tag) else { continue };
        if best.is_none_or(|(greatest, _)| numbers > greatest) {
            best = Some((numbers, tag));
        }
    }
    best.map(|(_, tag)| tag)
}

fn numbers(text: &str) -> Option<[u64; 3]> {
    let (mut numbers, mut part) = ([0; 3], 0);
    for byte in text.bytes() {
        match byte {
            b'.' if part < 2 => part += 1,
            b'0'..=b'9' => numbers[part] = numbers[part] * 10 + u64::from(byte - b'0'),
            _ => return None,
        }
    }
    (part == 2).then_some(numbers)
}

fn greatest_number<'t>(pattern: &Regex, tags: &'t TagList) -> Option<&'t str> {
    let mut groups = pattern.capture_locations();
    let mut read = |text: &str| -> Option<u64> {
        pattern.captures_read(&mut groups, text)?;
        let (start, end) = groups.get(1)?;
        text[start..end].parse().ok()
    };
    tags.iter().filter_map(|tag| Some((read(tag)?, tag))).max().map(|(_, tag)| tag)
}
