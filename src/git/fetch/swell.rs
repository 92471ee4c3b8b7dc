//! What a pack would need of memory, read as it passes by (gitformat-pack). In: its bytes, in pieces of any size. Out: an error
//! before anything is unpacked that is too large. Holds a few bytes; whether the pack is sound is for libgit2 to say.

use flate2::{Decompress, FlushDecompress, Status};

use crate::git::Error;

/// The most objects that we fetch at once.
pub const OBJECTS_LIMIT: u32 = 20_000_000;
/// The largest object that is unpacked as a whole when it is fetched, in bytes: a commit, a folder, a version of a file that is
/// stored as a difference, the difference itself. Up to three of them are in memory at a time. A file that is stored whole is never.
pub const UNPACKED_LIMIT: u64 = 64 << 20;

/// How long a pack's head is: `PACK`, the version, the number of objects.
const HEAD: usize = 12;
/// How long a base's id is.
const ID: usize = 20;
/// A difference begins with two sizes, of at most so many bytes together.
const SIZES: usize = 20;

/// Where in the pack the next byte is.
enum At {
    Head,
    /// In an entry's head, after so many bits of the size.
    Entry(u32),
    /// In the distance to the base.
    Offset,
    /// In the base's id, with so many bytes to come.
    Base(usize),
    /// In the content.
    Content,
    /// Behind all entries.
    End,
}

/// Watches a pack.
pub struct Watch {
    at: At,
    /// Entries to come.
    left: u32,
    /// The head, or the start of a difference.
    start: Vec<u8>,
    kind: u8,
    size: u64,
    inflate: Decompress,
    scratch: Vec<u8>,
}

impl Default for Watch {
    fn default() -> Self {
        let (inflate, scratch) = (Decompress::new(true), vec![0; 32 << 10]);
        Self { at: At::Head, left: 0, start: Vec::new(), kind: 0, size: 0, inflate, scratch }
    }
}

impl Watch {
    /// Looks at the next bytes.
    ///
    /// # Errors
    /// [`Error::TooLarge`]; [`Error::Protocol`] when it is no pack.
    pub fn look(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while let Some((first, rest)) = bytes.split_first() {
            match self.at {
                At::Content => bytes = self.content(bytes)?,
                At::End => return Ok(()),
                _ => {
                    self.byte(*first)?;
                    bytes = rest;
                }
            }
        }
        Ok(())
    }

    fn byte(&mut self, byte: u8) -> Result<(), Error> {
        let is_last = byte & 0x80 == 0;
        match self.at {
            At::Head => {
                self.start.push(byte);
                if self.start.len() < HEAD {
                    return Ok(());
                }
                let count = self.start[8..].try_into().map_or(0, u32::from_be_bytes);
                if count > OBJECTS_LIMIT {
                    let what = "the number of objects to fetch".into();
                    return Err(Error::TooLarge { what, limit: OBJECTS_LIMIT.into() });
                }
                self.left = count;
                self.next();
            }
            At::Entry(0) => {
                (self.kind, self.size) = ((byte >> 4) & 7, u64::from(byte & 15));
                self.start.clear();
                self.inflate.reset(true);
                self.at = if is_last { self.entry()? } else { At::Entry(4) };
            }
            At::Entry(bits) => {
                let more =
                    u64::from(byte & 0x7f).checked_shl(bits).filter(|more| more >> bits == u64::from(byte & 0x7f));
                self.size |= more.ok_or_else(|| Error::protocol("a pack with an entry of no size"))?;
                self.at = if is_last { self.entry()? } else { At::Entry(bits + 7) };
            }
            At::Offset if is_last => self.at = At::Content,
            At::Base(1) => self.at = At::Content,
            At::Base(left) => self.at = At::Base(left - 1),
            At::Offset | At::Content | At::End => {}
        }
        Ok(())
    }

    fn next(&mut self) {
        self.at = if self.left == 0 { At::End } else { At::Entry(0) };
        self.left = self.left.saturating_sub(1);
    }

    /// What follows an entry's head.
    fn entry(&self) -> Result<At, Error> {
        match self.kind {
            // A file alone passes by in pieces.
            3 => return Ok(At::Content),
            1 | 2 | 4 | 6 | 7 => check(self.size)?,
            _ => return Err(Error::protocol("a pack with an entry of no kind")),
        }
        Ok(match self.kind {
            6 => At::Offset,
            7 => At::Base(ID),
            _ => At::Content,
        })
    }

    /// Unpacks to nowhere, as only that tells where an entry ends. Returns what lies behind.
    fn content<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], Error> {
        let before = (self.inflate.total_in(), self.inflate.total_out());
        let done = self.inflate.decompress(bytes, &mut self.scratch, FlushDecompress::None);
        let done = done.map_err(|_| Error::protocol("a pack that cannot be unpacked"))?;
        let (took, gave) = (self.inflate.total_in() - before.0, (self.inflate.total_out() - before.1) as usize);
        if took == 0 && gave == 0 && done != Status::StreamEnd || self.inflate.total_out() > self.size {
            return Err(Error::protocol("a pack that cannot be unpacked"));
        }
        let is_difference = matches!(self.kind, 6 | 7);
        if is_difference && before.1 < SIZES as u64 {
            self.start.extend_from_slice(&self.scratch[..gave.min(SIZES - self.start.len())]);
            if self.start.len() == SIZES || done == Status::StreamEnd {
                sizes(&self.start).into_iter().try_for_each(check)?;
            }
        }
        if done == Status::StreamEnd {
            self.next();
        }
        Ok(&bytes[took as usize..])
    }
}

fn check(size: u64) -> Result<(), Error> {
    if size > UNPACKED_LIMIT {
        let what = "an object that is unpacked as a whole, in bytes,".into();
        return Err(Error::TooLarge { what, limit: UNPACKED_LIMIT });
    }
    Ok(())
}

/// The sizes at the start of a difference: of the version that it is to, and of its own.
fn sizes(start: &[u8]) -> [u64; 2] {
    let mut bytes = start.iter();
    [(); 2].map(|()| {
        let mut size = 0_u64;
        for (place, byte) in (&mut bytes).enumerate() {
            // What needs more bits than there are is too large in any case.
            let bits = u64::from(byte & 0x7f);
            size |= if place < 9 {
                bits << (7 * place)
            } else if bits == 0 {
                0
            } else {
                u64::MAX
            };
            if byte & 0x80 == 0 {
                break;
            }
        }
        size
    })
}

#[cfg(test)]
mod tests;
