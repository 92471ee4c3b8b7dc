//! Keeping a list of very many tags and choosing one of them, beside plain loops that do no more than they must.

use std::hint::black_box;
use std::time::{Duration, Instant};

use regex::Regex;
use serde_json::{Value, json};
use tagboat::image::{TagList, TagListBuilder};
use tagboat::watch::decide::{choose, ranked};
use tagboat::watch::policy::Policy;

use super::table::{Row, Table, Times};
use super::{Sizes, progress};

const PATTERN: &str = r"^main-[0-9a-f]{7}-(?P<ts>[0-9]+)$";
/// What a choice may take for each tag of the shorter list, in nanoseconds: 1.5 ms and 12 ms for 100,000 of them.
const GOALS: [u128; 2] = [15, 120];
/// What a tag may hold of memory.
const BYTES: usize = 32;

pub fn run(sizes: Sizes, table: &mut Table) {
    progress("choosing");
    for (count, rounds) in [(sizes.tags, sizes.tag_rounds), (sizes.tags * 10, sizes.tag_rounds / 4 + 2)] {
        let bench = Bench { count, rounds, has_goals: count == sizes.tags };
        let versions: Vec<String> = (0..count).map(version).collect();
        let builds: Vec<String> = (0..count).map(build).collect();
        bench.keep("as it comes", &builds, &by_number(), table);
        let mut in_order = versions.clone();
        in_order.sort();
        bench.keep("in order", &in_order, &by_version(), table);
        bench.by_version(&versions, table);
        bench.by_number(&list(&builds), table);
        bench.by_text(&list(&builds), table);
    }
}

fn version(n: usize) -> String {
    format!("{}.{}.{}", n % 10, n / 1000, n / 10 % 100)
}

fn build(n: usize) -> String {
    let commit = n.wrapping_mul(2_654_435_761) & 0x0fff_ffff;
    format!("main-{commit:07x}-{}", 1_700_000_000 + n)
}

fn list(tags: &[String]) -> TagList {
    let mut builder = TagListBuilder::default();
    tags.iter().for_each(|tag| builder.push(tag).unwrap());
    builder.build()
}

fn policy(mut spec: Value) -> Policy {
    spec["image"] = "registry.example.com/acme/app".into();
    Policy::parse(&serde_json::from_value(spec).unwrap()).unwrap()
}

fn by_version() -> Policy {
    policy(json!({"policy": {"semver": {"range": ">=1.0.0 <8.0.0"}}}))
}

fn by_number() -> Policy {
    policy(json!({
        "filterTags": {"pattern": PATTERN, "extract": "$ts"}, "policy": {"numerical": {"order": "asc"}},
    }))
}

/// How many tags, and how often.
struct Bench {
    count: usize,
    rounds: usize,
    has_goals: bool,
}

impl Bench {
    /// A row of what takes turns; each turn begins with what is not measured.
    fn row<T, F, O>(
        &self,
        what: &str,
        before: impl Fn() -> T,
        floor: impl Fn(&T) -> F,
        ours: impl Fn(&T) -> O,
    ) -> (Row, Times) {
        let (mut floors, mut all_ours) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            let prepared = black_box(before());
            let begin = Instant::now();
            black_box(floor(&prepared));
            floors.push(begin.elapsed());
            let begin = Instant::now();
            black_box(ours(&prepared));
            all_ours.push(begin.elapsed());
        }
        let (floor, ours) = (Times::new(&floors, 1), Times::new(&all_ours, 1));
        let row = Row::new(format!("{what}, {} tags", self.count)).times(floor, ours.clone());
        (row.counts(format!("{:.1} ns a tag", ours.median().as_nanos() as f64 / self.count as f64)), ours)
    }

    fn within(&self, goal: u128, (row, ours): (Row, Times)) -> Row {
        if !self.has_goals {
            return row;
        }
        let goal = Duration::from_nanos(u64::try_from(goal * self.count as u128).unwrap());
        row.goal(format!("≤ {:.1} ms", goal.as_secs_f64() * 1e3), ours.median() <= goal)
    }

    /// The floor sorts and copies without any check.
    fn keep(&self, order: &str, tags: &[String], policy: &Policy, table: &mut Table) {
        let floor = |(): &()| {
            let mut sorted: Vec<&str> = tags.iter().map(String::as_str).collect();
            sorted.sort_unstable();
            sorted.dedup();
            sorted.concat()
        };
        let (row, _) = self.row(&format!("keep a list that is {order}"), || (), floor, |()| list(tags));
        let kept = list(tags);
        // A choice by version leaves ranks in it.
        choose(policy, None, &kept);
        let bytes = kept.bytes().div_ceil(kept.len());
        let row = row.memory(format!("{bytes} bytes a tag"));
        table.add(row.goal(format!("≤ {BYTES} bytes a tag"), bytes <= BYTES));
    }

    fn by_version(&self, tags: &[String], table: &mut Table) {
        let policy = by_version();
        let ours = |tags: &TagList| choose(&policy, None, tags).chosen.unwrap();
        let row = self.row("choose a version, new list", || list(tags), greatest_version, ours);
        table.add(self.within(GOALS[0], row));
        let known = list(tags);
        ours(&known);
        let numbers: Vec<u64> = (0..).take(known.len()).collect();
        let greatest = |_: &TagList| black_box(&numbers).iter().copied().max();
        let (row, _) = self.row("choose a version, known list", || known.clone(), greatest, ours);
        table.add(row);
        let best = |tags: &TagList| ranked(&policy, None, tags, 20).len();
        let (row, _) = self.row("the best 20 versions, known list", || known.clone(), greatest, best);
        table.add(row);
    }

    fn by_number(&self, tags: &TagList, table: &mut Table) {
        let policy = by_number();
        let pattern = Regex::new(PATTERN).unwrap();
        let floor = |tags: &TagList| greatest_number(&pattern, tags).is_some();
        let ours = |tags: &TagList| choose(&policy, None, tags).chosen.unwrap();
        let row = self.row("choose by regex and number", || tags.clone(), floor, ours);
        table.add(self.within(GOALS[1], row));
    }

    fn by_text(&self, tags: &TagList, table: &mut Table) {
        let policy = policy(json!({"policy": {"alphabetical": {"order": "asc"}}}));
        let ours = |tags: &TagList| choose(&policy, None, tags).chosen.unwrap();
        let (row, _) = self.row("choose a text", || tags.clone(), |tags| tags.iter().max().is_some(), ours);
        table.add(row);
    }
}

/// Byte by byte: splitting and parsing with the standard library takes four times as long, which would flatter us.
fn greatest_version(tags: &TagList) -> Option<[u64; 3]> {
    tags.iter().filter_map(numbers).max()
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
