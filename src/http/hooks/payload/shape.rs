//! The grain of payloads: texts, times and lists that a sender may leave out, and the two escapes they come in.
//! A text or time of the wrong type is taken as absent, so that a field that we don't need never costs an event.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use axum::http::{HeaderMap, header};
use chrono::{DateTime, Utc};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Named;

/// The most entries of one list of a payload that are looked at; a longer list makes the payload malformed.
const MOST_ENTRIES: usize = 10_000;

/// A text, or nothing.
#[derive(Default)]
pub struct Text(Option<String>);

impl Text {
    /// The text; none when it is absent or empty.
    pub fn get(&self) -> Option<&str> {
        self.0.as_deref().filter(|text| !text.is_empty())
    }

    /// Whether it is one of these.
    pub fn is_any(&self, of: &[&str]) -> bool {
        self.get().is_some_and(|text| of.contains(&text))
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Some(text.to_owned()))
    }
}

/// A time as RFC 3339, as Java writes it (`+0000`), or as seconds since 1970; else nothing.
#[derive(Default, Clone, Copy)]
pub struct Time(pub Option<DateTime<Utc>>);

impl Time {
    /// Reads the text of a header or field.
    pub fn read(text: &str) -> Self {
        let java = || DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z");
        Self(DateTime::parse_from_rfc3339(text).or_else(|_| java()).ok().map(|time| time.to_utc()))
    }

    fn seconds(seconds: i64) -> Self {
        Self(DateTime::from_timestamp(seconds, 0))
    }
}

/// A list; absent and `null` are empty.
pub struct Many<T>(pub Vec<T>);

impl<T> Default for Many<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// An object, or a text in its place.
pub enum Either<T> {
    /// The text.
    Text(String),
    /// The object.
    Object(T),
}

macro_rules! nothing {
    ($($visit:ident: $from:ty),*) => {$(
        fn $visit<E: Error>(self, _: $from) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }
    )*};
}

macro_rules! nothing_of_collections {
    () => {
        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok(Self::Value::default())
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok(Self::Value::default())
        }
    };
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reads;
        impl<'de> Visitor<'de> for Reads {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
                Ok(text.into())
            }

            nothing!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64);
            nothing_of_collections!();
        }
        deserializer.deserialize_any(Reads)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reads;
        impl<'de> Visitor<'de> for Reads {
            type Value = Time;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Time, E> {
                Ok(Time::read(text))
            }

            fn visit_i64<E: Error>(self, seconds: i64) -> Result<Time, E> {
                Ok(Time::seconds(seconds))
            }

            fn visit_u64<E: Error>(self, seconds: u64) -> Result<Time, E> {
                Ok(i64::try_from(seconds).map(Time::seconds).unwrap_or_default())
            }

            fn visit_f64<E: Error>(self, seconds: f64) -> Result<Time, E> {
                // A cast saturates, and what is out of a calendar's range is nothing.
                #[expect(clippy::cast_possible_truncation, reason = "whole seconds are enough")]
                Ok(Time::seconds(seconds as i64))
            }

            nothing!(visit_bool: bool);
            nothing_of_collections!();
        }
        deserializer.deserialize_any(Reads)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reads<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reads<T> {
            type Value = Many<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_unit<E: Error>(self) -> Result<Many<T>, E> {
                Ok(Many::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Many<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = list.next_element()? {
                    if entries.len() == MOST_ENTRIES {
                        return Err(A::Error::custom("too many entries"));
                    }
                    entries.push(entry);
                }
                Ok(Many(entries))
            }
        }
        deserializer.deserialize_any(Reads(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Either<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reads<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reads<T> {
            type Value = Either<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or an object")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Either<T>, E> {
                Ok(Either::Text(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Either<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Either::Object)
            }
        }
        deserializer.deserialize_any(Reads(PhantomData))
    }
}

/// The JSON of a body: itself, or the field `payload` of a form, which GitHub and Gitea send when a hook is set so.
pub fn json<'a>(headers: &HeaderMap, body: &'a [u8]) -> Cow<'a, [u8]> {
    let kind = headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes()).unwrap_or_default();
    if !kind.starts_with(b"application/x-www-form-urlencoded") {
        return Cow::Borrowed(body);
    }
    let field = body.split(|b| *b == b'&').find_map(|field| field.strip_prefix(b"payload="));
    Cow::Owned(unescaped(field.unwrap_or_default(), true))
}

/// Resolves `%41`, and `+` as a space where the text is a form's. A broken escape stays as it is.
pub fn unescaped(text: &[u8], is_form: bool) -> Vec<u8> {
    let digit = |at: usize| text.get(at).and_then(|b| char::from(*b).to_digit(16));
    let (mut out, mut at) = (Vec::with_capacity(text.len()), 0);
    while let Some(byte) = text.get(at) {
        let (resolved, taken) = match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => (u8::try_from(high * 16 + low).unwrap_or(b'%'), 3),
            (b'+', ..) if is_form => (b' ', 1),
            (byte, ..) => (*byte, 1),
        };
        out.push(resolved);
        at += taken;
    }
    out
}

/// The repository of `host/path:tag@digest`, each part but the path being optional.
pub fn repository(reference: &str) -> Named {
    let name = reference.split('@').next().unwrap_or_default();
    let name = match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    };
    match name.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => Named::at(host, path),
        _ => Named::anywhere(name),
    }
}

/// Whether what was pushed has only a digest: then no list of tags changed.
pub fn is_untagged(tag: Option<&str>) -> bool {
    tag.is_none_or(|tag| tag.starts_with("sha256:") || tag.starts_with("sha512:"))
}
