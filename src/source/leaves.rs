//! The leaves of columns: what is left where structs and lists are taken apart, as Parquet counts
//! them, depth first. Flags for leaves are in that order.

use std::ops::Range;

use datafusion::arrow::datatypes::{DataType, FieldRef, Fields};

/// The number of leaves. A list of other than structs is one leaf with its elements.
pub(super) fn count(data_type: &DataType) -> usize {
    match data_type {
        DataType::Struct(fields) => count_all(fields),
        DataType::List(element)
        | DataType::LargeList(element)
        | DataType::ListView(element)
        | DataType::LargeListView(element)
        | DataType::FixedSizeList(element, _)
        | DataType::Map(element, _) => count(element.data_type()),
        _ => 1,
    }
}

/// The number of leaves of all `fields`.
pub(super) fn count_all(fields: &Fields) -> usize {
    fields.iter().map(|field| count(field.data_type())).sum()
}

/// Each of `fields`, and where its leaves are among those of all, the first of which is `first`.
pub(super) fn places<'a>(
    fields: impl IntoIterator<Item = &'a FieldRef>,
    first: usize,
) -> impl Iterator<Item = (&'a FieldRef, Range<usize>)> {
    fields.into_iter().scan(first, |next, field| {
        let start = *next;
        *next += count(field.data_type());
        Some((field, start..*next))
    })
}
