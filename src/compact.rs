//! Rows that hold no more memory than they need.
//!
//! Views of strings keep the whole buffers that they look into: a few rows of a batch keep the pages
//! of a Parquet file, or the text of thousands of lines. Rows that wait for others are copied out.
//! A sort that merges would have each of its batches keep those of all its runs: it gets strings that
//! lie one after the other.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, GenericByteViewArray, ListArray, RecordBatch, RecordBatchOptions,
    StructArray,
};
use arrow::buffer::Buffer;
use arrow::compute::cast;
use arrow::datatypes::{ByteViewType, DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use arrow::error::ArrowError;

/// A column may hold this share of what it uses on top of that, as a divisor.
const UNUSED_SHARE: usize = 4;

/// The same rows, whose strings and binary values lie in buffers that hold hardly anything else.
pub fn compact(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().map(compact_array);
    let columns = columns.collect::<Result<_, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(batch.schema(), columns, &options)
}

/// The schema with strings and binary values one after the other in place of views.
pub fn joined(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(joined_field);
    Arc::new(Schema::new(fields.collect::<Fields>()))
}

fn joined_field(field: &FieldRef) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(joined_field).collect()),
        DataType::List(element) => DataType::List(joined_field(element)),
        _ => return FieldRef::clone(field),
    };
    Arc::new(Field::clone(field).with_data_type(data_type))
}

/// The same rows with the types of `schema`: from views to strings one after the other, or back.
pub fn cast_to(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| cast(column, field.data_type()));
    RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<_, _>>()?)
}

fn compact_array(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    Ok(match array.data_type() {
        DataType::Utf8View => compact_views(array, array.as_string_view()),
        DataType::BinaryView => compact_views(array, array.as_binary_view()),
        DataType::Struct(fields) => {
            let members = array.as_struct().columns().iter().map(compact_array);
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
                compact_array(lists.values())?,
                lists.nulls().cloned(),
            )?)
        }
        _ => ArrayRef::clone(array),
    })
}

fn compact_views<T: ByteViewType>(array: &ArrayRef, views: &GenericByteViewArray<T>) -> ArrayRef {
    let held: usize = views.data_buffers().iter().map(Buffer::len).sum();
    let used = views.total_buffer_bytes_used();
    // Values that share their bytes would each get their own.
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
    fn a_few_rows_do_not_keep_the_text_of_all() {
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
        let rows = compact(&few).unwrap();
        assert_eq!(rows, few);
        for column in rows.columns() {
            assert!(column.get_array_memory_size() < 4000, "{column:?}");
        }
        assert!(few.get_array_memory_size() > 400_000);

        let joined = cast_to(&few, &joined(&few.schema())).unwrap();
        for column in joined.columns() {
            assert!(column.get_array_memory_size() < 4000, "{column:?}");
        }
        assert_eq!(cast_to(&joined, &few.schema()).unwrap(), few);
    }

    #[test]
    fn rows_without_columns_stay_as_many() {
        let options = RecordBatchOptions::new().with_row_count(Some(3));
        let schema = Arc::new(Schema::empty());
        let batch = RecordBatch::try_new_with_options(schema, vec![], &options).unwrap();
        assert_eq!(compact(&batch).unwrap().num_rows(), 3);
    }
}
