//! The facts about the values at one path of a sample, from which a type is chosen.

use std::collections::HashMap;

use crate::init::json::Json;
use crate::init::numbers::NumberFacts;
use crate::init::place::{Place, Seen};
use crate::init::texts::TextFacts;

/// The facts about the values at one path.
#[derive(Debug, Default, Clone)]
pub(super) struct Facts {
    /// The objects that have the key, and each further time that one has it.
    pub(super) present: u64,
    pub(super) nulls: u64,
    /// The objects that have the key more than once.
    pub(super) repeated: Seen,
    pub(super) booleans: Seen,
    pub(super) numbers: NumberFacts,
    pub(super) texts: TextFacts,
    pub(super) objects: ObjectFacts,
    pub(super) lists: ListFacts,
}

/// The facts about objects: those of their members, in the order in which they first came.
#[derive(Debug, Default, Clone)]
pub(super) struct ObjectFacts {
    pub(super) seen: Seen,
    members: Vec<(String, Facts)>,
    index: HashMap<String, usize>,
}

/// The facts about lists, and about all of their elements.
#[derive(Debug, Default, Clone)]
pub(super) struct ListFacts {
    pub(super) seen: Seen,
    pub(super) element: Option<Box<Facts>>,
}

impl Facts {
    /// Adds a value.
    pub(super) fn add(&mut self, value: &Json<'_>, place: Place) {
        self.present += 1;
        match value {
            Json::Null => self.nulls += 1,
            Json::Boolean => self.booleans.add(place),
            Json::Number(text) => self.numbers.add(text, place),
            Json::Text(text) => self.texts.add(text, place),
            Json::Object(members) => {
                self.objects.seen.add(place);
                for (position, (key, value)) in members.iter().enumerate() {
                    let before = members.iter().take(position);
                    let is_repeated = before.into_iter().any(|(other, _)| other == key);
                    let facts = self.objects.member_mut(key);
                    facts.add(value, place);
                    if is_repeated {
                        facts.repeated.add(place);
                    }
                }
            }
            Json::List(items) => {
                self.lists.seen.add(place);
                for item in items {
                    let element = self.lists.element.get_or_insert_default();
                    element.add(item, place);
                }
            }
        }
    }

    /// Returns the number of values that are not null.
    pub(super) fn values(&self) -> u64 {
        self.present - self.nulls
    }
}

impl ObjectFacts {
    fn member_mut(&mut self, key: &str) -> &mut Facts {
        let index = match self.index.get(key) {
            Some(index) => *index,
            None => {
                self.members.push((key.to_owned(), Facts::default()));
                self.index.insert(key.to_owned(), self.members.len() - 1);
                self.members.len() - 1
            }
        };
        &mut self.members[index].1
    }

    /// Returns the facts about a member.
    pub(super) fn member(&self, key: &str) -> Option<&Facts> {
        let index = self.index.get(key)?;
        self.members.get(*index).map(|(_, facts)| facts)
    }

    /// Returns the members, in the order in which they first came.
    pub(super) fn members(&self) -> impl ExactSizeIterator<Item = (&str, &Facts)> {
        self.members
            .iter()
            .map(|(key, facts)| (key.as_str(), facts))
    }
}
