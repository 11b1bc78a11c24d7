//! The leaf columns of Arrow types, counted depth first as Parquet does.
//!
//! A leaf is what remains of a column once structs and lists are taken apart. Wherever a slice of
//! flags describes the leaves of a schema, its flags are in this order.

use std::ops::Range;

use arrow::datatypes::{DataType, FieldRef, Fields};

/// Returns the number of leaf columns that a type has in Parquet.
///
/// This is also the number of parts of the type that a query can project. A list of anything but
/// structs is one leaf with its elements.
pub(crate) fn leaf_count(data_type: &DataType) -> usize {
    match data_type {
        DataType::Struct(fields) => total_leaf_count(fields),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => leaf_count(item.data_type()),
        _ => 1,
    }
}

/// Returns the number of leaves of all `fields` together.
pub(crate) fn total_leaf_count(fields: &Fields) -> usize {
    let counts = fields.iter().map(|field| leaf_count(field.data_type()));
    counts.sum()
}

/// Returns each field with the range of its leaf indexes, the first of which is `first_leaf`.
pub(crate) fn leaf_ranges<'a>(
    fields: impl IntoIterator<Item = &'a FieldRef>,
    first_leaf: usize,
) -> impl Iterator<Item = (&'a FieldRef, Range<usize>)> {
    fields.into_iter().scan(first_leaf, |next, field| {
        let start = *next;
        *next += leaf_count(field.data_type());
        Some((field, start..*next))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::Field;

    #[test]
    fn leaves_are_counted_through_structs_and_lists() {
        let number = |name: &str| Field::new(name, DataType::Int64, true);
        let object = Field::new_struct("o", vec![number("x"), number("y")], true);
        let list = Field::new_list("l", object.clone(), true);
        let words = Field::new_list("w", Field::new("item", DataType::Utf8, true), true);
        let fields = Fields::from(vec![number("a"), object, list, words]);
        assert_eq!(total_leaf_count(&fields), 6);
        let ranges: Vec<Range<usize>> = leaf_ranges(&fields, 10).map(|(_, range)| range).collect();
        assert_eq!(ranges, [10..11, 11..13, 13..15, 15..16]);
    }
}
