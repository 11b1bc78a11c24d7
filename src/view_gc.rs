//! Garbage collection of the buffers of string and binary views.
//!
//! A view keeps the whole buffer that it points into: a few rows of a batch keep the pages of a
//! Parquet file, or the text of thousands of lines. Rows that are buffered are therefore copied out
//! of these buffers first.
//!
//! A merging sort would make each of its batches keep the buffers of all its runs. Its rows get
//! offset strings instead, whose text is contiguous: see [`offset_strings`].

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, GenericByteViewArray, ListArray, RecordBatch, RecordBatchOptions,
    StructArray,
};
use arrow::buffer::Buffer;
use arrow::compute::cast;
use arrow::datatypes::{ByteViewType, DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use arrow::error::ArrowError;

/// The tolerated share of unused bytes in a column's buffers, as a divisor of its used bytes.
const UNUSED_SHARE: usize = 4;

/// Copies strings and binary values out of buffers that hold much that the batch does not use.
pub(crate) fn gc_views(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().map(gc_array);
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(batch.schema(), columns.collect::<Result<_, _>>()?, &options)
}

/// The size up to which a batch is not looked at more closely, in bytes.
const SMALL_BATCH_BYTES: usize = 4 << 20;

/// Returns the bytes of the values of a batch. Views of a large batch may point into buffers that others
/// use: these count only as far as they are used.
pub(crate) fn batch_bytes(batch: &RecordBatch) -> usize {
    match batch.get_array_memory_size() {
        small if small <= SMALL_BATCH_BYTES => small,
        _ => batch.columns().iter().map(|array| used_bytes(array)).sum(),
    }
}

/// Returns the bytes of the values of an array, as they would be in an array of their own.
pub(crate) fn used_bytes(array: &dyn Array) -> usize {
    let views = size_of::<u128>() * array.len();
    match array.data_type() {
        DataType::Utf8View => views + array.as_string_view().total_buffer_bytes_used(),
        DataType::BinaryView => views + array.as_binary_view().total_buffer_bytes_used(),
        DataType::Struct(_) => {
            let members = array.as_struct().columns().iter();
            members.map(|member| used_bytes(member)).sum()
        }
        DataType::List(_) => {
            let lists = array.as_list::<i32>();
            let offsets = lists.value_offsets();
            let (first, last) = (offsets.first(), offsets.last());
            let first = first.map_or(0, |offset| *offset as usize);
            let last = last.map_or(0, |offset| *offset as usize);
            let elements = lists.values().slice(first, last - first);
            used_bytes(&elements) + size_of_val(offsets)
        }
        _ => {
            let used = array.to_data().get_slice_memory_size();
            used.unwrap_or_else(|_| array.get_array_memory_size())
        }
    }
}

/// Returns an upper bound of the bytes of the widest row of a batch. It looks at lengths alone.
pub(crate) fn max_row_bytes(batch: &RecordBatch) -> usize {
    let columns = batch.columns().iter();
    columns.map(|array| max_value_bytes(array)).sum()
}

fn max_value_bytes(array: &dyn Array) -> usize {
    let longest = |offsets: &[i32]| {
        let lengths = offsets.windows(2).map(|pair| pair[1] - pair[0]);
        lengths.max().unwrap_or(0) as usize
    };
    match array.data_type() {
        DataType::Utf8View => max_view_bytes(array.as_string_view().views()),
        DataType::BinaryView => max_view_bytes(array.as_binary_view().views()),
        DataType::Utf8 => longest(array.as_string::<i32>().value_offsets()),
        DataType::Binary => longest(array.as_binary::<i32>().value_offsets()),
        DataType::Struct(_) => {
            let members = array.as_struct().columns().iter();
            members.map(|member| max_value_bytes(member)).sum()
        }
        DataType::List(_) => {
            let lists = array.as_list::<i32>();
            longest(lists.value_offsets()).saturating_mul(max_value_bytes(lists.values()))
        }
        _ => mean_value_bytes(array),
    }
}

/// The length of the value of a view is in its lower half.
fn max_view_bytes(views: &[u128]) -> usize {
    let longest = views.iter().map(|view| *view as u32).max().unwrap_or(0);
    size_of::<u128>() + longest as usize
}

/// Returns the bytes of a value of a type whose values have one size, or the mean of others.
fn mean_value_bytes(array: &dyn Array) -> usize {
    match array.data_type().primitive_width() {
        Some(bytes) => bytes,
        None => used_bytes(array).div_ceil(array.len().max(1)),
    }
}

/// Returns the bytes of each row of a batch.
pub(crate) fn row_sizes(batch: &RecordBatch) -> Vec<usize> {
    let mut sizes = vec![0; batch.num_rows()];
    for column in batch.columns() {
        add_value_sizes(column, &mut sizes);
    }
    sizes
}

fn add_value_sizes(array: &dyn Array, sizes: &mut [usize]) {
    let add_lengths = |offsets: &[i32], sizes: &mut [usize]| {
        for (size, pair) in sizes.iter_mut().zip(offsets.windows(2)) {
            *size += (pair[1] - pair[0]) as usize;
        }
    };
    let add_views = |views: &[u128], sizes: &mut [usize]| {
        for (size, view) in sizes.iter_mut().zip(views) {
            *size += size_of::<u128>() + (*view as u32) as usize;
        }
    };
    match array.data_type() {
        DataType::Utf8View => add_views(array.as_string_view().views(), sizes),
        DataType::BinaryView => add_views(array.as_binary_view().views(), sizes),
        DataType::Utf8 => add_lengths(array.as_string::<i32>().value_offsets(), sizes),
        DataType::Binary => add_lengths(array.as_binary::<i32>().value_offsets(), sizes),
        DataType::Struct(_) => {
            for member in array.as_struct().columns() {
                add_value_sizes(member, sizes);
            }
        }
        DataType::List(_) => {
            let lists = array.as_list::<i32>();
            let mut elements = vec![0; lists.values().len()];
            add_value_sizes(lists.values(), &mut elements);
            for (size, pair) in sizes.iter_mut().zip(lists.value_offsets().windows(2)) {
                let list = &elements[pair[0] as usize..pair[1] as usize];
                *size += list.iter().sum::<usize>();
            }
        }
        _ => {
            let bytes = mean_value_bytes(array);
            sizes.iter_mut().for_each(|size| *size += bytes);
        }
    }
}

/// Returns the schema with offset types in place of views: `Utf8` for `Utf8View`, `Binary` for
/// `BinaryView`, also inside structs and lists.
pub(crate) fn offset_strings(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(offset_field);
    Arc::new(Schema::new(fields.collect::<Fields>()))
}

/// Returns the field with offset types in place of views.
pub(crate) fn offset_field(field: &FieldRef) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(offset_field).collect()),
        DataType::List(element) => DataType::List(offset_field(element)),
        _ => return FieldRef::clone(field),
    };
    Arc::new(Field::clone(field).with_data_type(data_type))
}

/// Casts a batch to the types of `schema`: from views to offset strings, or back.
pub(crate) fn cast_to(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    if batch.schema_ref() == schema {
        return Ok(batch.clone());
    }
    let pairs = batch.columns().iter().zip(schema.fields());
    let columns = pairs.map(|(column, field)| cast(column, field.data_type()));
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(
        Arc::clone(schema),
        columns.collect::<Result<_, _>>()?,
        &options,
    )
}

fn gc_array(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    Ok(match array.data_type() {
        DataType::Utf8View => gc_view_array(array, array.as_string_view()),
        DataType::BinaryView => gc_view_array(array, array.as_binary_view()),
        DataType::Struct(fields) => {
            let members = array.as_struct().columns().iter().map(gc_array);
            Arc::new(StructArray::try_new_with_length(
                fields.clone(),
                members.collect::<Result<_, _>>()?,
                array.nulls().cloned(),
                array.len(),
            )?)
        }
        DataType::List(element) => {
            let lists = array.as_list::<i32>();
            Arc::new(ListArray::try_new(
                Arc::clone(element),
                lists.offsets().clone(),
                gc_array(lists.values())?,
                lists.nulls().cloned(),
            )?)
        }
        _ => ArrayRef::clone(array),
    })
}

fn gc_view_array<T: ByteViewType>(array: &ArrayRef, views: &GenericByteViewArray<T>) -> ArrayRef {
    let held: usize = views.data_buffers().iter().map(Buffer::len).sum();
    let used = views.total_buffer_bytes_used();
    // Values that share bytes of a buffer would each get a copy of their own.
    match held > used + used / UNUSED_SHARE {
        true => Arc::new(views.gc()),
        false => ArrayRef::clone(array),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringViewArray, UInt32Array};
    use arrow::buffer::OffsetBuffer;
    use arrow::compute::take_record_batch;

    use super::*;

    #[test]
    fn a_few_rows_do_not_keep_the_text_of_the_whole_batch() {
        let text = (0..1000).map(|n| format!("{n} {}", "long enough ".repeat(9)));
        let strings: ArrayRef = Arc::new(StringViewArray::from_iter_values(text));
        let field = Arc::new(Field::new("item", DataType::Utf8View, true));
        let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(1, 1000));
        let lists: ArrayRef = Arc::new(ListArray::new(
            Arc::clone(&field),
            offsets,
            Arc::clone(&strings),
            None,
        ));
        let members = Fields::from(vec![
            field.as_ref().clone().with_name("member"),
            Field::new("lists", lists.data_type().clone(), true),
        ]);
        let objects: ArrayRef = Arc::new(StructArray::new(
            members,
            vec![Arc::clone(&strings), Arc::clone(&lists)],
            Some((0..1000).map(|n| n % 3 > 0).collect()),
        ));
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1000));
        let columns = [
            ("strings", strings),
            ("lists", lists),
            ("objects", objects),
            ("numbers", numbers),
        ];
        let all = RecordBatch::try_from_iter(columns).unwrap();
        let few = take_record_batch(&all, &UInt32Array::from(vec![7, 0, 900])).unwrap();
        let rows = gc_views(&few).unwrap();
        assert_eq!(rows, few);
        for column in rows.columns() {
            assert!(column.get_array_memory_size() < 4000, "{column:?}");
        }
        assert!(few.get_array_memory_size() > 400_000);
        let used: usize = few.columns().iter().map(|array| used_bytes(array)).sum();
        assert!((1000..4000).contains(&used), "{used}");

        let plain = cast_to(&few, &offset_strings(&few.schema())).unwrap();
        for column in plain.columns() {
            assert!(column.get_array_memory_size() < 4000, "{column:?}");
        }
        assert_eq!(cast_to(&plain, &few.schema()).unwrap(), few);
    }

    #[test]
    fn the_row_count_of_a_batch_without_columns_is_kept() {
        let options = RecordBatchOptions::new().with_row_count(Some(3));
        let schema = Arc::new(Schema::empty());
        let batch = RecordBatch::try_new_with_options(schema, vec![], &options).unwrap();
        assert_eq!(gc_views(&batch).unwrap().num_rows(), 3);
    }
}
