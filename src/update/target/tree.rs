//! The parser's events → a tree of nodes, without recursion, so that no depth of nesting can overflow the stack.

use granit_parser::Event;

use crate::update::edit::reading::Piece;

/// A node's place in its tree.
pub(super) type Id = usize;

/// All documents that parse.
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    /// The documents' roots.
    pub roots: Vec<Id>,
}

/// A scalar, an alias or a collection.
#[derive(Debug)]
pub(super) struct Node {
    /// The piece it begins with.
    pub first: usize,
    /// The piece it ends with.
    pub last: usize,
    /// What it is.
    pub kind: Kind,
}

/// What a node is.
#[derive(Debug)]
pub(super) enum Kind {
    /// One value.
    Scalar,
    /// A name for another node.
    Alias,
    /// Keys and their values.
    Map(Vec<(Id, Id)>),
    /// Items.
    List(Vec<Id>),
}

/// A collection that is not closed, and the key that waits for its value.
struct Open {
    id: Id,
    key: Option<Id>,
}

impl Tree {
    pub(super) fn new(pieces: &[Piece<'_>]) -> Self {
        let mut tree = Self::default();
        let mut open: Vec<Open> = Vec::new();
        for (piece, (event, _)) in pieces.iter().enumerate() {
            let kind = match event {
                Event::DocumentStart(..) => {
                    open.clear();
                    continue;
                }
                Event::MappingStart(..) => Kind::Map(Vec::new()),
                Event::SequenceStart(..) => Kind::List(Vec::new()),
                Event::Scalar(..) => Kind::Scalar,
                Event::Alias(_) => Kind::Alias,
                Event::MappingEnd | Event::SequenceEnd => {
                    if let Some(Open { id, .. }) = open.pop() {
                        tree.nodes[id].last = piece;
                    }
                    continue;
                }
                _ => continue,
            };
            let id = tree.nodes.len();
            let is_open = matches!(kind, Kind::Map(_) | Kind::List(_));
            tree.nodes.push(Node { first: piece, last: piece, kind });
            match open.last_mut() {
                None => tree.roots.push(id),
                Some(parent) => match &mut tree.nodes[parent.id].kind {
                    Kind::List(items) => items.push(id),
                    Kind::Map(pairs) => match parent.key.take() {
                        Some(key) => pairs.push((key, id)),
                        None => parent.key = Some(id),
                    },
                    Kind::Scalar | Kind::Alias => {}
                },
            }
            if is_open {
                open.push(Open { id, key: None });
            }
        }
        tree
    }

    /// A node.
    pub(super) fn node(&self, id: Id) -> &Node {
        &self.nodes[id]
    }
}
