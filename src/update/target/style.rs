//! How a kustomization's `images` are written → how new keys and values go in beside them.

use granit_parser::ScalarStyle;

use super::sheet::Sheet;
use super::tree::{Id, Kind};
use crate::update::edit;
use crate::update::scalar::{self, Quotes};

/// How keys and values are written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    key: ScalarStyle,
    name: ScalarStyle,
    value: ScalarStyle,
    quotes: Quotes,
}

impl Style {
    /// From the entry, else from the last one: keys as `name` is, names as its value is, values as the tags and digests of
    /// all entries are, else as the name is.
    pub(super) fn of_images(sheet: &Sheet<'_>, images: Option<Id>, entry: Option<Id>) -> Self {
        let items: &[Id] = match images.map(|images| &sheet.tree.node(images).kind) {
            Some(Kind::List(items)) => items,
            _ => &[],
        };
        let pair = |item: Id, key: &str| sheet.pair(item, key).ok().flatten();
        let model = entry.or(items.last().copied()).and_then(|item| pair(item, "name"));
        let key = model.and_then(|(key, _)| chosen(sheet, key)).unwrap_or(ScalarStyle::Plain);
        let name = model.and_then(|(_, value)| chosen(sheet, value)).unwrap_or(ScalarStyle::Plain);
        let alike = |key: &str| items.iter().rev().find_map(|item| chosen(sheet, pair(*item, key)?.1));
        let any = |key: &str| items.iter().rev().find_map(|item| Some(sheet.scalar(pair(*item, key)?.1)?.1));
        let value = alike("newTag").or_else(|| alike("digest")).or_else(|| any("newTag")).unwrap_or(name);
        Self { key, name, value, quotes: edit::favourite_quotes(sheet.reading) }
    }

    /// The same, where the keys are written like this one, such as in a mapping of JSON's form.
    pub(super) fn with_keys_like(mut self, sheet: &Sheet<'_>, key: Id) -> Self {
        if let Some(style) = chosen(sheet, key) {
            self.key = style;
            if style != ScalarStyle::Plain {
                (self.name, self.value) = (style, style);
            }
        }
        self
    }

    /// Whether keys have quotes.
    pub(super) fn has_quoted_keys(&self) -> bool {
        self.key != ScalarStyle::Plain
    }

    /// A key's source.
    pub(super) fn key(&self, key: &str) -> String {
        scalar::render(key, self.key, None, self.quotes).unwrap_or_else(|_| key.to_owned())
    }

    /// The entry's name.
    pub(super) fn name(&self, name: &str) -> String {
        scalar::render(name, self.name, None, self.quotes).unwrap_or_else(|_| name.to_owned())
    }

    /// A value's source.
    pub(super) fn value(&self, value: &str) -> String {
        scalar::render(value, self.value, None, self.quotes).unwrap_or_else(|_| value.to_owned())
    }
}

/// A scalar's style where the person had the choice: quotes that the value needs say nothing of others.
fn chosen(sheet: &Sheet<'_>, id: Id) -> Option<ScalarStyle> {
    let (text, style) = sheet.scalar(id)?;
    match style {
        ScalarStyle::Plain => Some(style),
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => scalar::reads_as_text(text).then_some(style),
        ScalarStyle::Literal | ScalarStyle::Folded => None,
    }
}
