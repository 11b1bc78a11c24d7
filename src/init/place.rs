//! Places of lines, and counts of values with the place of the first one.

/// The place of a line: the index of its file in the sample, and its number from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) file: usize,
    pub(super) line: u64,
}

/// A number of values, and the place of the first one.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) count: u64,
    pub(super) first: Option<Place>,
}

impl Seen {
    pub(super) fn add(&mut self, place: Place) {
        self.count += 1;
        self.first.get_or_insert(place);
    }
}
