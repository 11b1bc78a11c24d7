//! Structs, lists and maps of a file as the declared ones: fields are found by their names.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, ListArray, MapArray, StructArray, new_null_array,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, FieldRef, Fields};
use datafusion::arrow::error::ArrowError;

use super::misfit::{Converted, Misfit};

/// Converts structs. `convert` converts the field with an index among `fields`, which exists where the
/// struct is not NULL; a field that the file does not have is NULL.
pub(super) fn structs(
    array: &ArrayRef,
    fields: &Fields,
    convert: impl Fn(usize, &ArrayRef, Option<&NullBuffer>) -> Converted,
) -> Converted {
    let structs = array.as_struct();
    let mut members: Vec<ArrayRef> = Vec::with_capacity(fields.len());
    for (index, field) in fields.iter().enumerate() {
        let Some(stored) = structs.column_by_name(field.name()) else {
            members.push(new_null_array(field.data_type(), structs.len()));
            continue;
        };
        match convert(index, stored, structs.nulls())? {
            Ok(member) => members.push(member),
            Err(misfit) => return Ok(Err(misfit)),
        }
    }
    let nulls = structs.nulls().cloned();
    let fields = fields.clone();
    let converted = StructArray::try_new_with_length(fields, members, nulls, structs.len())?;
    Ok(Ok(Arc::new(converted)))
}

/// Converts the elements of lists.
pub(super) fn lists(
    array: &ArrayRef,
    item: &FieldRef,
    convert: impl FnOnce(&ArrayRef) -> Converted,
) -> Converted {
    let lists = match array.data_type() {
        DataType::List(_) => array.as_list::<i32>().clone(),
        DataType::LargeList(stored)
        | DataType::ListView(stored)
        | DataType::LargeListView(stored)
        | DataType::FixedSizeList(stored, _) => {
            let plain = cast(array, &DataType::List(Arc::clone(stored)))?;
            plain.as_list::<i32>().clone()
        }
        other => return Err(unexpected(other)),
    };
    let (offsets, values) = without_sliced_off(lists.offsets(), lists.values());
    Ok(match convert(&values)? {
        Ok(values) => {
            let nulls = lists.nulls().cloned();
            let item = Arc::clone(item);
            Ok(Arc::new(ListArray::try_new(item, offsets, values, nulls)?))
        }
        Err(misfit) => Err(in_list(misfit, &offsets)),
    })
}

/// Converts the entries of maps.
pub(super) fn maps(
    array: &ArrayRef,
    entry: &FieldRef,
    convert: impl FnOnce(&ArrayRef) -> Converted,
) -> Converted {
    let maps = array.as_map();
    let entries: ArrayRef = Arc::new(maps.entries().clone());
    let (offsets, entries) = without_sliced_off(maps.offsets(), &entries);
    Ok(match convert(&entries)? {
        Ok(entries) => {
            let nulls = maps.nulls().cloned();
            let is_ordered = matches!(array.data_type(), DataType::Map(_, true));
            let entries = entries.as_struct().clone();
            let entry = Arc::clone(entry);
            Ok(Arc::new(MapArray::try_new(
                entry, offsets, entries, nulls, is_ordered,
            )?))
        }
        Err(misfit) => Err(in_list(misfit, &offsets)),
    })
}

/// Returns the offsets and the elements of lists, without the elements of rows that were sliced off.
fn without_sliced_off(
    offsets: &OffsetBuffer<i32>,
    values: &ArrayRef,
) -> (OffsetBuffer<i32>, ArrayRef) {
    let bound = |offset: Option<&i32>| offset.map_or(0, |offset| *offset as usize);
    let (start, end) = (bound(offsets.first()), bound(offsets.last()));
    if start == 0 && end == values.len() {
        return (offsets.clone(), ArrayRef::clone(values));
    }
    let lengths = offsets.lengths();
    (
        OffsetBuffer::from_lengths(lengths),
        values.slice(start, end - start),
    )
}

/// Returns the misfit of an element as one of the list that it is in.
fn in_list(misfit: Misfit, offsets: &OffsetBuffer<i32>) -> Misfit {
    let lists_before = offsets.partition_point(|offset| *offset as usize <= misfit.index);
    Misfit {
        index: lists_before.saturating_sub(1),
        ..misfit
    }
}

fn unexpected(data_type: &DataType) -> ArrowError {
    ArrowError::SchemaError(format!("{data_type} is no list"))
}
