//! A YAML text → the parser's events with their byte ranges, whole documents only, and what did not parse.

use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle};

/// An event and the bytes it covers.
pub(in crate::update) type Piece<'a> = (Event<'a>, Range<usize>);

/// Everything the parser says about a text.
#[derive(Default)]
pub(in crate::update) struct Reading<'a> {
    /// The events of the documents that parse.
    pub pieces: Vec<Piece<'a>>,
    /// The stretches whose documents don't.
    pub broken: Vec<Range<usize>>,
    /// Why: line (from 1) and the parser's reason, one for each stretch.
    pub failures: Vec<(u32, String)>,
}

/// Where the document that is being read began.
#[derive(Clone, Copy, Default)]
struct Start {
    piece: usize,
    byte: usize,
}

/// Reads a text. A document that does not parse is left out as a whole; reading goes on at the next `---`.
pub(in crate::update) fn read(text: &str) -> Reading<'_> {
    // The default of 96 refuses long comments; the size of a file is limited instead.
    let options = granit_parser::options! { max_buffered_comment_events: 1_000_000 };
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut reading = Reading::default();
    let (mut this, mut last) = (Start::default(), None);
    while let Some(next) = parser.next() {
        match next {
            Ok((event, span)) => {
                let range = span.byte_range().unwrap_or(text.len()..text.len());
                close(&mut reading.broken, range.start);
                let (is_start, is_end) =
                    (matches!(event, Event::DocumentStart(..)), matches!(event, Event::DocumentEnd));
                let (is_explicit, byte) = (!range.is_empty(), range.end);
                reading.pieces.push((event, range));
                if is_start {
                    last = None;
                } else if is_end {
                    last = (!is_explicit).then_some(this);
                    this = Start { piece: reading.pieces.len(), byte };
                }
            }
            Err(error) => {
                let at = error.marker().byte_offset().unwrap_or(text.len());
                // Text after the end of a document without `---` between them: then that end is doubtful too.
                let from = last.filter(|_| !has_separator(text, this.byte, at)).unwrap_or(this);
                reading.pieces.truncate(from.piece);
                reading.broken.push(from.byte..usize::MAX);
                reading.failures.push((u32::try_from(error.marker().line()).unwrap_or(0), error.info()));
                if !matches!(parser.proceed_next_document(), Ok(true)) {
                    break;
                }
                this = Start { piece: reading.pieces.len(), byte: at };
                last = None;
            }
        }
    }
    close(&mut reading.broken, text.len());
    reading
}

/// The first event after a failure ends the broken stretch.
fn close(broken: &mut [Range<usize>], at: usize) {
    if let Some(open) = broken.last_mut().filter(|range| range.end == usize::MAX) {
        open.end = at.max(open.start);
    }
}

fn has_separator(text: &str, from: usize, to: usize) -> bool {
    text.get(from..to).is_some_and(|between| between.split(['\n', '\r']).any(|line| line.starts_with("---")))
}

/// One scalar or alias.
pub(in crate::update) struct Node {
    /// Its piece.
    pub piece: usize,
    /// Its bytes, quotes included.
    pub range: Range<usize>,
    /// A mapping's key, or part of one.
    pub is_key: bool,
}

struct Frame {
    is_mapping: bool,
    is_key_next: bool,
    is_key: bool,
}

/// Scalars and aliases in the order of the file, told apart as keys and values. Values that are not written are left out.
pub(in crate::update) fn nodes(text: &str, pieces: &[Piece<'_>]) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut stack: Vec<Frame> = Vec::new();
    for (piece, (event, range)) in pieces.iter().enumerate() {
        match event {
            Event::DocumentStart(..) => stack.clear(),
            Event::MappingStart(..) | Event::SequenceStart(..) => {
                let is_key = next_is_key(&mut stack);
                let is_mapping = matches!(event, Event::MappingStart(..));
                stack.push(Frame { is_mapping, is_key_next: is_mapping, is_key });
            }
            Event::MappingEnd | Event::SequenceEnd => {
                stack.pop();
            }
            Event::Scalar(..) | Event::Alias(_) => {
                let is_key = next_is_key(&mut stack);
                let range = range.start..end(text, event, range);
                if !range.is_empty() {
                    nodes.push(Node { piece, range, is_key });
                }
            }
            _ => {}
        }
    }
    nodes
}

/// Where an event's text ends: the parser counts blanks of the line after a block of text to the block.
pub(in crate::update) fn end(text: &str, event: &Event<'_>, range: &Range<usize>) -> usize {
    match event {
        Event::Scalar(_, ScalarStyle::Literal | ScalarStyle::Folded, ..) => {
            range.start + text.get(range.clone()).unwrap_or_default().trim_end().len()
        }
        _ => range.end,
    }
}

/// Whether the node that comes now is a key; the one after it then is its value.
fn next_is_key(stack: &mut [Frame]) -> bool {
    let Some(frame) = stack.last_mut() else { return false };
    let is_key = frame.is_key || frame.is_key_next;
    frame.is_key_next = frame.is_mapping && !frame.is_key_next;
    is_key
}
