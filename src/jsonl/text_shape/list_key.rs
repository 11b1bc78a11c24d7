//! Finds the list of objects inside an object that is only a frame around it.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The maximum length of a key that is shown, in bytes.
const MAX_KEY_BYTES: usize = 40;

/// Returns the key of the first list of objects in an object without any declared key. The inner
/// option is `None` if the key does not look like a name: it may be a value then.
pub(super) fn list_key(
    object: &[u8],
    is_declared: impl Fn(&str) -> bool,
) -> Option<Option<String>> {
    let mut deserializer = serde_json::Deserializer::from_slice(object);
    let members = Frame { is_declared };
    let key = deserializer.deserialize_map(members).ok()??;
    let is_name = key.len() <= MAX_KEY_BYTES
        && key.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    Some(is_name.then_some(key))
}

/// Visits the members of the object.
struct Frame<F> {
    is_declared: F,
}

impl<'de, F: Fn(&str) -> bool> Visitor<'de> for Frame<F> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let (mut key_of_list, mut has_declared) = (None, false);
        while let Some(key) = members.next_key::<String>()? {
            has_declared |= (self.is_declared)(&key);
            let is_list = members.next_value_seed(IsListOfObjects)?;
            if is_list && key_of_list.is_none() {
                key_of_list = Some(key);
            }
        }
        Ok(key_of_list.filter(|_| !has_declared))
    }
}

/// Reads a value as true if it is a list that begins with an object.
struct IsListOfObjects;

/// Reads a value as true if it is an object.
struct IsObject;

macro_rules! false_for_scalars {
    () => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON value")
        }
        fn visit_bool<E>(self, _: bool) -> Result<bool, E> {
            Ok(false)
        }
        fn visit_i64<E>(self, _: i64) -> Result<bool, E> {
            Ok(false)
        }
        fn visit_u64<E>(self, _: u64) -> Result<bool, E> {
            Ok(false)
        }
        fn visit_f64<E>(self, _: f64) -> Result<bool, E> {
            Ok(false)
        }
        fn visit_str<E>(self, _: &str) -> Result<bool, E> {
            Ok(false)
        }
        fn visit_unit<E>(self) -> Result<bool, E> {
            Ok(false)
        }
    };
}

impl<'de> DeserializeSeed<'de> for IsListOfObjects {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<bool, D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for IsListOfObjects {
    type Value = bool;

    false_for_scalars!();

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<bool, A::Error> {
        let is_object = items.next_element_seed(IsObject)?;
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(is_object.unwrap_or(false))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<bool, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(false)
    }
}

impl<'de> DeserializeSeed<'de> for IsObject {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<bool, D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for IsObject {
    type Value = bool;

    false_for_scalars!();

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<bool, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(false)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<bool, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(true)
    }
}
