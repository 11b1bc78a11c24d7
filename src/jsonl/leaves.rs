//! The leaves of columns: what is left where structs and lists are taken apart, as Parquet counts
//! them, depth first. Flags for leaves are in that order.

use std::ops::Range;

use datafusion::arrow::datatypes::{FieldRef, Fields};

use crate::schema::leaf_count;

/// The number of leaves of all `fields`.
pub(crate) fn count_all(fields: &Fields) -> usize {
    fields
        .iter()
        .map(|field| leaf_count(field.data_type()))
        .sum()
}

/// Each of `fields`, and where its leaves are among those of all, the first of which is `first`.
pub(crate) fn places<'a>(
    fields: impl IntoIterator<Item = &'a FieldRef>,
    first: usize,
) -> impl Iterator<Item = (&'a FieldRef, Range<usize>)> {
    fields.into_iter().scan(first, |next, field| {
        let start = *next;
        *next += leaf_count(field.data_type());
        Some((field, start..*next))
    })
}
