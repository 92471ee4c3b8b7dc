//! Git's pkt-line framing (gitprotocol-common): bytes in, packets out, and back. Never panics on any input.

use super::error::Error;

/// The longest payload of one packet, in bytes (65520 less the length field).
pub const PAYLOAD_LIMIT: usize = 65516;

/// The end of a message.
pub const FLUSH: &[u8] = b"0000";

/// The boundary between a command's capabilities and its arguments in protocol v2.
pub const DELIMITER: &[u8] = b"0001";

/// One packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet<'a> {
    /// The end of a message.
    Flush,
    /// A boundary inside of a message (v2).
    Delimiter,
    /// The end of a stateless response (v2).
    ResponseEnd,
    /// Payload, maybe with a line feed at its end.
    Data(&'a [u8]),
}

impl<'a> Packet<'a> {
    /// The payload without a line feed at its end; nothing for the special packets.
    pub fn line(&self) -> Option<&'a [u8]> {
        match self {
            Self::Data(data) => Some(data.strip_suffix(b"\n").unwrap_or(data)),
            _ => None,
        }
    }
}

/// Appends `payload` as one packet. What exceeds [`PAYLOAD_LIMIT`] is cut: our own lines are far shorter.
pub fn push(out: &mut Vec<u8>, payload: &[u8]) {
    let payload = &payload[..payload.len().min(PAYLOAD_LIMIT)];
    out.extend_from_slice(format!("{:04x}", payload.len() + 4).as_bytes());
    out.extend_from_slice(payload);
}

/// The packet that the bytes begin with, and its length with the length field; nothing when it is not whole yet.
///
/// # Errors
/// The bytes are no packet.
pub fn first(bytes: &[u8]) -> Result<Option<(Packet<'_>, usize)>, Error> {
    let Some(length) = bytes.get(..4).map(length) else { return Ok(None) };
    // What is no length makes an error at once; a special packet has no more than its length.
    let whole = match length {
        Some(length) if bytes.len() < length => return Ok(None),
        length => length.unwrap_or_default().max(4),
    };
    Packets::of(&bytes[..whole]).next().transpose().map(|packet| packet.map(|packet| (packet, whole)))
}

/// Reads packets off the front of a byte slice.
pub struct Packets<'a> {
    rest: &'a [u8],
}

impl<'a> Packets<'a> {
    /// All packets of `bytes`.
    pub fn of(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn fail(&mut self, message: &str) -> Option<Result<Packet<'a>, Error>> {
        self.rest = &[];
        Some(Err(Error::protocol(message)))
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Packet<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let Some((head, rest)) = self.rest.split_at_checked(4) else {
            return self.fail("a packet's length is cut off");
        };
        let Some(length) = length(head) else { return self.fail("a packet's length is no hexadecimal number") };
        let packet = match length {
            0 => Packet::Flush,
            1 => Packet::Delimiter,
            2 => Packet::ResponseEnd,
            3 => return self.fail("a packet of length 3"),
            _ => {
                let Some((data, rest)) = rest.split_at_checked(length - 4) else {
                    return self.fail("a packet is cut off");
                };
                self.rest = rest;
                return Some(Ok(Packet::Data(data)));
            }
        };
        self.rest = rest;
        Some(Ok(packet))
    }
}

fn length(head: &[u8]) -> Option<usize> {
    head.iter().try_fold(0, |sum, byte| Some(sum * 16 + char::from(*byte).to_digit(16)? as usize))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(bytes: &str, expected: &[Packet<'_>], error: &str) {
        let mut packets = Vec::new();
        let mut message = String::new();
        for packet in Packets::of(bytes.as_bytes()) {
            match packet {
                Ok(packet) => packets.push(packet),
                Err(e) => message = e.to_string(),
            }
        }
        assert_eq!(packets, expected, "{bytes:?}");
        assert!(message.ends_with(error), "{bytes:?}: {message:?}");
        assert_eq!(message.is_empty(), error.is_empty(), "{bytes:?}: {message:?}");
        let mut rest = bytes.as_bytes();
        for packet in expected {
            let (one, length) = first(rest).unwrap().unwrap();
            assert_eq!(one, *packet);
            rest = &rest[length..];
        }
        assert!(error.contains("cut off") || first(rest).is_err() != error.is_empty(), "{bytes:?}");
    }

    #[test]
    fn what_is_a_packet() {
        use Packet::{Data, Delimiter, Flush, ResponseEnd};
        check("", &[], "");
        check("0006a\n0000", &[Data(b"a\n"), Flush], "");
        check("0004000100020005x", &[Data(b""), Delimiter, ResponseEnd, Data(b"x")], "");
        check("0000000", &[Flush], "a packet's length is cut off");
        check("00zz", &[], "a packet's length is no hexadecimal number");
        check("+004", &[], "a packet's length is no hexadecimal number");
        check("0003", &[], "a packet of length 3");
        check("0009abc", &[], "a packet is cut off");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..8)) {
            let mut bytes = Vec::new();
            lines.iter().for_each(|line| push(&mut bytes, line));
            let read: Vec<_> = Packets::of(&bytes).map(|packet| packet.unwrap()).collect();
            let expected: Vec<_> = lines.iter().map(|line| Packet::Data(line)).collect();
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(Packets::of(&bytes).count() <= bytes.len());
            let _ = first(&bytes);
        }
    }
}
