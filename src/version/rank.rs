//! Numbers in the order of versions. Texts come in; out goes a number each, which can be compared without reading the text again.
//! Must never contradict the order of the versions: of two the older has no higher number, and equal ones say nothing.

use super::leading_numbers;

/// Bits of a rank that are for numbers.
const ROOM: u32 = u64::BITS - 1;
/// Bits of a rank that tell how long a number is.
const LENGTH_BITS: u32 = 6;
/// A number of at most so many digits fits into 64 bits.
const DIGITS: usize = 19;

/// A number for a text's place among versions. Cheap to read, as it looks at the numbers only. 0 is for what is surely no
/// version, though other texts may be none either; an even one is a prerelease's.
pub fn rank(text: &str) -> u64 {
    Ranks::default().of(text)
}

/// The rank of three numbers, and of a prerelease or not.
pub fn rank_of(numbers: [u64; 3], is_prerelease: bool) -> u64 {
    let packed = numbers.into_iter().fold(Packed::default(), Packed::and);
    packed.rank(is_prerelease).unwrap_or_else(|| cut_rank_of(numbers, is_prerelease))
}

/// The ranks of texts that come one after the other. In a sorted list most of them have major and minor of the one before, which
/// are then not read again.
#[derive(Default)]
pub struct Ranks<'t> {
    /// What the last text that was read begins with, up to its second dot; or nothing.
    begin: &'t [u8],
    /// Its numbers.
    packed: Packed,
}

impl<'t> Ranks<'t> {
    /// The next text's rank, the same as from [`rank`].
    #[inline]
    pub fn of(&mut self, text: &'t str) -> u64 {
        match after(text.as_bytes(), self.begin).and_then(|patch| self.with_patch(patch)) {
            Some(rank) => rank,
            None => self.read(text),
        }
    }

    /// The rank of what has the same begin, unless something is odd about the rest.
    #[inline]
    fn with_patch(&self, rest: &[u8]) -> Option<u64> {
        let (mut patch, mut digits) = (0_u64, 0);
        for digit in rest.iter().map(|byte| byte.wrapping_sub(b'0')).take_while(|digit| *digit < 10) {
            (patch, digits) = (patch.wrapping_mul(10).wrapping_add(digit.into()), digits + 1);
        }
        let is_prerelease = match rest.get(digits) {
            None | Some(b'+') => false,
            Some(b'-') => true,
            Some(_) => return None,
        };
        if (1..=DIGITS).contains(&digits) { self.packed.and(patch).rank(is_prerelease) } else { None }
    }

    fn read(&mut self, text: &'t str) -> u64 {
        let Ok((numbers, rest)) = leading_numbers(text) else { return 0 };
        let read = &text.as_bytes()[..text.len() - rest.len()];
        if let Some((second, _)) = read.iter().enumerate().filter(|(_, byte)| **byte == b'.').nth(1) {
            self.begin = &read[..=second];
            self.packed = Packed::default().and(numbers[0]).and(numbers[1]);
        }
        match rest.as_bytes() {
            [] | [b'+', ..] => rank_of(numbers, false),
            [b'-', ..] => rank_of(numbers, true),
            _ => 0,
        }
    }
}

/// What follows such a begin; nothing follows none. Short texts are compared faster here than by a call.
#[inline]
fn after<'t>(text: &'t [u8], begin: &[u8]) -> Option<&'t [u8]> {
    let (head, rest) = text.split_at_checked(begin.len()).filter(|(head, _)| !head.is_empty())?;
    if head.iter().zip(begin).all(|(a, b)| a == b) { Some(rest) } else { None }
}

/// Numbers in a row. Of each, increased by one, there is the length in bits and then the bits after the first, which keeps the
/// order and is short for small numbers.
#[derive(Debug, Clone, Copy, Default)]
struct Packed {
    bits: u64,
    /// How many bits; above the room when there were too many.
    count: u32,
}

impl Packed {
    #[inline]
    fn and(self, number: u64) -> Self {
        let number = number.saturating_add(1);
        let length = number.ilog2();
        let count = self.count + LENGTH_BITS + length;
        if count > ROOM {
            return Self { bits: 0, count };
        }
        let bits = (((self.bits << LENGTH_BITS) | u64::from(length)) << length) | (number ^ (1 << length));
        Self { bits, count }
    }

    /// The rank, if there was room for all.
    #[inline]
    fn rank(self, is_prerelease: bool) -> Option<u64> {
        if self.count > ROOM {
            return None;
        }
        Some(u64::max((self.bits << (u64::BITS - self.count)) | u64::from(!is_prerelease), 1))
    }
}

/// As [`rank_of`], bit by bit; what has no room any more is cut off. The last bit is 0 for a prerelease of which nothing was cut.
#[cold]
fn cut_rank_of(numbers: [u64; 3], is_prerelease: bool) -> u64 {
    let (mut rank, mut room, mut is_cut) = (0, ROOM, false);
    let mut write = |bits: u64, count: u32| {
        let cut = count.saturating_sub(room);
        room -= count - cut;
        rank |= (bits >> cut) << (room + 1);
        is_cut |= cut > 0;
    };
    for number in numbers.map(|number| number.saturating_add(1)) {
        let length = number.ilog2();
        write(length.into(), LENGTH_BITS);
        write(number ^ (1 << length), length);
    }
    u64::max(rank | u64::from(is_cut || !is_prerelease), 1)
}

#[cfg(test)]
mod tests;
