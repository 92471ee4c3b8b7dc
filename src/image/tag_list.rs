//! A repository's tags as one value: checked texts come in, in any order; out goes a sorted list that is cheap to keep, to share and
//! to search. All texts lie in one block, so that a tag costs its bytes, 4 bytes for its place and 8 for its key.

use std::cmp::Ordering;
use std::fmt;
use std::iter::Peekable;
use std::sync::{Arc, OnceLock};

use super::{Invalid, Tag, check_tag, invalid};

/// Tags in the order of their bytes, each once. Clones share their memory.
#[derive(Clone, Default)]
pub struct TagList(Arc<Arena>);

#[derive(Default)]
struct Arena {
    /// All tags in a row, without separators.
    text: Box<str>,
    /// Where each tag ends.
    ends: Box<[u32]>,
    /// A number for each tag, once somebody asked for it.
    keys: OnceLock<Box<[u64]>>,
}

impl TagList {
    /// How many tags it has.
    pub fn len(&self) -> usize {
        self.0.ends.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.ends.is_empty()
    }

    /// The tags, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &str> + ExactSizeIterator + Clone {
        (0..self.len()).map(|index| self.get(index))
    }

    /// The tag at a place.
    ///
    /// # Panics
    /// As a slice does, when the list is shorter.
    pub fn get(&self, index: usize) -> &str {
        piece(&self.0.text, &self.0.ends, index)
    }

    /// Whether a tag is listed.
    pub fn contains(&self, tag: &str) -> bool {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.get(middle).cmp(tag) {
                Ordering::Equal => return true,
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
            }
        }
        false
    }

    /// Whether the two are clones, so that they are surely equal.
    pub fn is_clone_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// How many of these tags another list lacks.
    pub fn gone(&self, other: &Self) -> usize {
        if self.is_clone_of(other) {
            return 0;
        }
        let mut others = other.iter().peekable();
        self.iter().filter(|tag| !advance_to(&mut others, tag)).count()
    }

    /// A number for each tag, in their order, made at the first call and kept as long as the list: `make` must give
    /// the same numbers in each call.
    pub(crate) fn keys<'t>(&'t self, make: impl FnMut(&'t str) -> u64) -> &'t [u64] {
        self.0.keys.get_or_init(|| self.iter().map(make).collect())
    }

    /// The memory that it holds, shared by its clones.
    pub fn bytes(&self) -> usize {
        let Arena { text, ends, keys } = &*self.0;
        size_of::<Arena>() + text.len() + size_of_val(&**ends) + keys.get().map_or(0, |keys| size_of_val(&**keys))
    }
}

/// Goes on to the first tag that isn't smaller; whether it is this one.
fn advance_to<'t>(sorted: &mut Peekable<impl Iterator<Item = &'t str>>, tag: &str) -> bool {
    while sorted.next_if(|other| *other < tag).is_some() {}
    sorted.peek().is_some_and(|other| *other == tag)
}

fn piece<'t>(text: &'t str, ends: &[u32], index: usize) -> &'t str {
    let start = if index == 0 { 0 } else { ends[index - 1] };
    &text[start as usize..ends[index] as usize]
}

impl PartialEq for TagList {
    fn eq(&self, other: &Self) -> bool {
        self.is_clone_of(other) || (self.0.ends == other.0.ends && self.0.text == other.0.text)
    }
}

impl Eq for TagList {}

impl fmt::Debug for TagList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl FromIterator<Tag> for TagList {
    fn from_iter<T: IntoIterator<Item = Tag>>(tags: T) -> Self {
        let mut builder = TagListBuilder::default();
        for tag in tags {
            builder.add(tag.as_str()).expect("nobody holds four gigabytes of tags one by one");
        }
        builder.build()
    }
}

/// Collects tags in any order and any number of times.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TagListBuilder {
    text: String,
    ends: Vec<u32>,
}

impl TagListBuilder {
    /// Takes a text if it is a tag.
    ///
    /// # Errors
    /// When it is none, as from [`Tag`]'s `from_str`, or when all texts together are longer than 4 GiB.
    pub fn push(&mut self, text: &str) -> Result<(), Invalid> {
        check_tag(text)?;
        self.add(text)
    }

    fn add(&mut self, text: &str) -> Result<(), Invalid> {
        let end = u32::try_from(self.text.len() + text.len())
            .map_err(|_| invalid("tag", text, "the list before it is full: it is longer than 4 GiB"))?;
        self.text.push_str(text);
        self.ends.push(end);
        Ok(())
    }

    /// Takes all tags of another.
    ///
    /// # Errors
    /// When all texts together are longer than 4 GiB.
    pub fn append(&mut self, other: &Self) -> Result<(), Invalid> {
        self.text.reserve(other.text.len());
        self.ends.reserve(other.ends.len());
        (0..other.len()).try_for_each(|index| self.add(piece(&other.text, &other.ends, index)))
    }

    /// How many texts were taken, each as often as it came.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether none was taken.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The list.
    pub fn build(self) -> TagList {
        let Self { text, ends } = if self.is_sorted() { self } else { self.sorted() };
        TagList(Arc::new(Arena { text: text.into_boxed_str(), ends: ends.into_boxed_slice(), keys: OnceLock::new() }))
    }

    /// Whether each text is greater than the one before, as in most registries' answers.
    fn is_sorted(&self) -> bool {
        (1..self.len()).all(|index| self.get(index - 1) < self.get(index))
    }

    /// By the eight bytes after what all texts share: most comparisons then stay inside of the array that is sorted.
    fn sorted(&self) -> Self {
        let shared = self.shared();
        let mut order: Vec<(u64, u32)> =
            (0..).zip(0..self.len()).map(|(place, index)| (prefix(&self.get(index)[shared..]), place)).collect();
        let text = |place: u32| self.get(place as usize);
        order.sort_unstable_by(|(a, x), (b, y)| a.cmp(b).then_with(|| text(*x).cmp(text(*y))));
        order.dedup_by(|(a, x), (b, y)| a == b && text(*x) == text(*y));
        let mut sorted = Self { text: String::with_capacity(self.text.len()), ends: Vec::with_capacity(order.len()) };
        for (_, place) in order {
            sorted.text.push_str(text(place));
            // No longer than ours, which was counted when it grew.
            sorted.ends.push(u32::try_from(sorted.text.len()).unwrap_or(u32::MAX));
        }
        sorted
    }

    /// How many bytes all texts start with together.
    fn shared(&self) -> usize {
        let first = if self.is_empty() { "" } else { self.get(0) };
        (1..self.len()).fold(first.len(), |shared, index| {
            let pairs = first.bytes().zip(self.get(index).bytes());
            pairs.take(shared).take_while(|(a, b)| a == b).count()
        })
    }

    fn get(&self, index: usize) -> &str {
        piece(&self.text, &self.ends, index)
    }
}

/// The first eight bytes as a number of the same order; no tag holds a zero byte.
fn prefix(text: &str) -> u64 {
    let mut bytes = [0; 8];
    let length = text.len().min(8);
    bytes[..length].copy_from_slice(&text.as_bytes()[..length]);
    u64::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests;
