//! The newest few of a list that may be very long. A policy and a list come in; the candidates go out, newest first.
//! The exact order decides. Before it, ranks, which never contradict it, leave out what is older without reading it.

use std::borrow::Cow;

use super::{Candidate, order};
use crate::api::image_policy::Order;
use crate::image::{Tag, TagList};
use crate::version;
use crate::watch::filter::Filter;
use crate::watch::number;
use crate::watch::policy::{Policy, Ranking};

/// Hands the best candidates, newest first and at most `limit`, to `then`.
pub(super) fn of<'t, R>(
    policy: &Policy,
    current: Option<&Tag>,
    tags: &'t TagList,
    limit: usize,
    then: impl FnOnce(&[Candidate<'t, '_>]) -> R,
) -> R {
    // Texts that are no part of their tag. Before `top`, which borrows them.
    let mut expanded: Vec<(&'t str, String)> = Vec::new();
    let mut top = Top { ranking: &policy.ranking, current, limit, kept: Vec::new(), bar: None, floor: 1 };
    let is_excluded = |tag: &str| policy.exclusion.pattern(tag).is_some();
    let is_expanded = |filter: &Filter| filter.has_template() && policy.ranking.is_of_the_tag();
    match policy.filter.as_ref().map(|filter| (is_expanded(filter), filter.extractor())) {
        None => top.take(tags, |tag| !is_excluded(tag)),
        Some((false, mut extractor)) => top.take(tags, |tag| extractor.matches(tag) && !is_excluded(tag)),
        Some((true, mut extractor)) => {
            for tag in tags.iter().rev() {
                match extractor.apply(tag) {
                    Some(Cow::Borrowed(text)) => top.rank_and_offer(tag, text, |tag| !is_excluded(tag)),
                    Some(Cow::Owned(text)) => expanded.push((tag, text)),
                    None => {}
                }
            }
            for (tag, text) in &expanded {
                top.rank_and_offer(tag, text, |tag| !is_excluded(tag));
            }
        }
    }
    then(&top.finish())
}

/// The best that were seen, and what it takes to be one of them.
struct Top<'p, 't, 'k> {
    ranking: &'p Ranking,
    current: Option<&'p Tag>,
    limit: usize,
    /// In no order, up to twice as many as wanted, so that few are moved.
    kept: Vec<(u64, Candidate<'t, 'k>)>,
    /// The oldest of the best, once there are enough.
    bar: Option<Candidate<'t, 'k>>,
    /// The rank of `bar`: what has a lower one is older. 0 is the rank of what never fits.
    floor: u64,
}

impl<'t: 'k, 'k> Top<'_, 't, 'k> {
    /// Looks at tags that are compared as a whole; `admits` is asked only about those that would be among the best.
    fn take(&mut self, tags: &'t TagList, mut admits: impl FnMut(&str) -> bool) {
        match self.ranking {
            Ranking::Semver { range, .. } => {
                let mut in_order = version::Ranks::default();
                let ranks = tags.keys(|tag| in_order.of(tag));
                // From the end, where the newest of a sorted list often are.
                for (index, rank) in ranks.iter().enumerate().rev() {
                    if *rank >= self.floor && range.may_contain(*rank) {
                        let tag = tags.get(index);
                        self.offer(*rank, tag, tag, &mut admits);
                    }
                }
            }
            Ranking::Numerical(_) | Ranking::NewestBuild(_) | Ranking::DigestOf(_) => {
                for tag in tags.iter().rev() {
                    self.rank_and_offer(tag, tag, &mut admits);
                }
            }
            Ranking::Alphabetical(Order::Asc) => self.take_sorted(tags.iter().rev(), admits),
            Ranking::Alphabetical(Order::Desc) => self.take_sorted(tags.iter(), admits),
        }
    }

    /// As the tags come in the policy's order, the first ones are the best.
    fn take_sorted(&mut self, sorted: impl Iterator<Item = &'t str>, mut admits: impl FnMut(&str) -> bool) {
        for tag in sorted {
            if self.kept.len() == self.limit {
                return;
            }
            self.rank_and_offer(tag, tag, &mut admits);
        }
    }

    /// Looks at a tag of which this text is compared.
    fn rank_and_offer(&mut self, tag: &'t str, text: &'k str, admits: impl FnMut(&str) -> bool) {
        let rank = rank(self.ranking, text);
        if rank >= self.floor {
            self.offer(rank, tag, text, admits);
        }
    }

    fn offer(&mut self, rank: u64, tag: &'t str, text: &'k str, mut admits: impl FnMut(&str) -> bool) {
        let Some(key) = self.ranking.key(text) else { return };
        let candidate = Candidate { tag, key };
        let is_among_best =
            self.bar.as_ref().is_none_or(|bar| order(self.ranking, self.current, &candidate, bar).is_gt());
        if !is_among_best || !admits(tag) {
            return;
        }
        self.kept.push((rank, candidate));
        if self.kept.len() == self.limit || self.kept.len() >= self.limit.saturating_mul(2) {
            self.raise();
        }
    }

    /// Drops all but the best.
    fn raise(&mut self) {
        let (ranking, current) = (self.ranking, self.current);
        let Some(last) = self.limit.checked_sub(1) else { return self.kept.clear() };
        self.kept.select_nth_unstable_by(last, |(_, a), (_, b)| order(ranking, current, b, a));
        self.kept.truncate(self.limit);
        (self.floor, self.bar) = (self.kept[last].0, Some(self.kept[last].1));
    }

    fn finish(mut self) -> Vec<Candidate<'t, 'k>> {
        self.kept.sort_unstable_by(|(_, a), (_, b)| order(self.ranking, self.current, b, a));
        self.kept.iter().take(self.limit).map(|(_, candidate)| *candidate).collect()
    }
}

/// A number that never contradicts the order: of two texts the older has no higher one. 0 is for what never fits.
fn rank(ranking: &Ranking, text: &str) -> u64 {
    match ranking {
        Ranking::Semver { range, .. } => {
            let rank = version::rank(text);
            if range.may_contain(rank) { rank } else { 0 }
        }
        Ranking::Numerical(Order::Asc) => number::rank(text),
        Ranking::Numerical(Order::Desc) => match number::rank(text) {
            0 => 0,
            rank => !rank,
        },
        // These are compared as fast as ranks of them would be made.
        Ranking::Alphabetical(_) | Ranking::NewestBuild(_) | Ranking::DigestOf(_) => 1,
    }
}
