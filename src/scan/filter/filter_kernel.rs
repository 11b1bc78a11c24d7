//! The filter kernel: copies the selected rows of a batch.
//!
//! The result is that of `arrow::compute::filter`. Lists have a path of their own, since arrow 59
//! filters them by its generic `MutableArrayData`, which appends their offsets one by one, each with
//! a check for overflow. Both copy the elements by runs of contiguous rows.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, ListArray, MutableArrayData, RecordBatch,
    RecordBatchOptions, StructArray, make_array,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::{FilterBuilder, FilterPredicate};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, internal_err};

use crate::planted_fault::{strikes, with_one_flipped};

/// A selection of rows.
struct FilterKernel {
    predicate: FilterPredicate,
    /// The start and the end of each run of contiguous selected rows.
    runs: Vec<(usize, usize)>,
}

/// Returns the rows of `batch` that are `selected`. No flag may be NULL.
///
/// # Errors
/// Returns an error of Arrow's own kernels.
pub(crate) fn filter_batch(batch: &RecordBatch, selected: &BooleanArray) -> Result<RecordBatch> {
    if !selected.has_false() {
        return Ok(batch.clone());
    }
    if strikes("the filter keeps a row that does not match") {
        return filter_batch(batch, &with_one_flipped(selected, false));
    }
    if strikes("the filter drops a row that matches") {
        return filter_batch(batch, &with_one_flipped(selected, true));
    }
    let kernel = FilterKernel::new(selected);
    let columns = batch.columns().iter().map(|column| kernel.filter(column));
    let options = RecordBatchOptions::new().with_row_count(Some(kernel.predicate.count()));
    Ok(RecordBatch::try_new_with_options(
        batch.schema(),
        columns.collect::<Result<_>>()?,
        &options,
    )?)
}

impl FilterKernel {
    fn new(selected: &BooleanArray) -> Self {
        Self {
            predicate: FilterBuilder::new(selected).optimize().build(),
            runs: selected.values().set_slices().collect(),
        }
    }

    fn filter(&self, column: &ArrayRef) -> Result<ArrayRef> {
        Ok(match column.data_type() {
            DataType::List(_) => Arc::new(self.filter_lists(column.as_list())?),
            DataType::Struct(fields) => {
                let members = column.as_struct().columns().iter();
                let filtered = members.map(|member| self.filter(member));
                Arc::new(StructArray::try_new_with_length(
                    fields.clone(),
                    filtered.collect::<Result<_>>()?,
                    self.predicate.filter_nulls(column.nulls()),
                    self.predicate.count(),
                )?)
            }
            _ => self.predicate.filter(column)?,
        })
    }

    fn filter_lists(&self, lists: &ListArray) -> Result<ListArray> {
        let offsets = lists.value_offsets();
        let elements = lists.values().to_data();
        let ranges = self
            .runs
            .iter()
            .map(|(start, end)| (offsets[*start] as usize, offsets[*end] as usize));
        let count = ranges.clone().map(|(start, end)| end - start).sum();
        let mut filtered = MutableArrayData::new(vec![&elements], false, count);
        for (start, end) in ranges {
            filtered.try_extend(0, start, end)?;
        }
        let element = match lists.data_type() {
            DataType::List(element) => Arc::clone(element),
            other => return internal_err!("{other} is not a list"),
        };
        Ok(ListArray::try_new(
            element,
            self.filter_offsets(offsets),
            make_array(filtered.freeze()),
            self.predicate.filter_nulls(lists.nulls()),
        )?)
    }

    /// Returns the offsets of the selected lists, from the `offsets` of all lists.
    fn filter_offsets(&self, offsets: &[i32]) -> OffsetBuffer<i32> {
        let mut filtered = Vec::with_capacity(self.predicate.count() + 1);
        let mut last = 0;
        filtered.push(last);
        for (start, end) in &self.runs {
            // The offsets of a run are all shifted by the same amount.
            let shift = offsets[*start] - last;
            let ends = &offsets[start + 1..=*end];
            filtered.extend(ends.iter().map(|offset| offset - shift));
            last = offsets[*end] - shift;
        }
        OffsetBuffer::new(filtered.into())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Int64Array, StringArray};
    use datafusion::arrow::compute::filter_record_batch;
    use datafusion::arrow::datatypes::{Field, Fields, Schema};
    use datafusion::arrow::json::ReaderBuilder;

    use super::*;

    /// Returns a batch of each kind of column that the kernel distinguishes, nested and with NULLs.
    fn rows(count: usize) -> RecordBatch {
        let lines = (0..count).map(|n| {
            let text = "é".repeat(n % 5);
            let object = match n % 4 {
                0 => "null".to_owned(),
                1 => format!(r#"{{"a": null, "b": [{n}]}}"#),
                _ => format!(r#"{{"a": "{text}{n}", "b": []}}"#),
            };
            let words = match n % 3 {
                0 => "null".to_owned(),
                1 => "[]".to_owned(),
                _ => format!(r#"["{n}", null, "{text}"]"#),
            };
            format!(
                r#"{{"n": {n}, "text": {}, "object": {object}, "words": {words}, "objects": [{object}, {object}]}}"#,
                if n % 7 == 0 { "null".to_owned() } else { format!("\"{text}\"") },
            )
        });
        let lines = lines.collect::<Vec<_>>().join("\n");
        let list = |item| DataType::List(Arc::new(Field::new("item", item, true)));
        let members = [
            Field::new("a", DataType::Utf8, true),
            Field::new("b", list(DataType::Int64), true),
        ];
        let object = DataType::Struct(Fields::from_iter(members));
        let schema = Schema::new(vec![
            Field::new("n", DataType::Int64, false),
            Field::new("text", DataType::Utf8, true),
            Field::new("words", list(DataType::Utf8), true),
            Field::new("objects", list(object.clone()), true),
            Field::new("object", object, true),
        ]);
        let reader = ReaderBuilder::new(Arc::new(schema)).with_batch_size(count);
        reader
            .build(lines.as_bytes())
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
    }

    #[test]
    fn the_same_rows_are_selected_as_by_arrow() {
        let all = rows(300);
        for batch in [all.clone(), all.slice(37, 200)] {
            let patterns: [&dyn Fn(usize) -> bool; 6] = [
                &|_| true,
                &|_| false,
                &|n| n % 2 == 0,
                &|n| n % 7 > 1,
                &|n| (40..90).contains(&n) || n == 199,
                &|n| n * n % 11 < 4,
            ];
            for pattern in patterns {
                let selected: BooleanArray =
                    (0..batch.num_rows()).map(|n| Some(pattern(n))).collect();
                let expected = filter_record_batch(&batch, &selected).unwrap();
                assert_eq!(filter_batch(&batch, &selected).unwrap(), expected);
            }
        }
    }

    #[test]
    fn rows_without_columns_are_counted() {
        let options = RecordBatchOptions::new().with_row_count(Some(3));
        let schema = Arc::new(Schema::empty());
        let batch = RecordBatch::try_new_with_options(schema, vec![], &options).unwrap();
        let selected = BooleanArray::from(vec![true, false, true]);
        assert_eq!(filter_batch(&batch, &selected).unwrap().num_rows(), 2);
    }

    #[test]
    fn selected_rows_retain_no_more_than_themselves() {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1000));
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values(
            (0..1000).map(|n| n.to_string().repeat(20)),
        ));
        let batch = RecordBatch::try_from_iter([("n", numbers), ("text", texts)]).unwrap();
        let selected: BooleanArray = (0..1000).map(|n| Some(n % 100 == 0)).collect();
        let few = filter_batch(&batch, &selected).unwrap();
        assert!(few.get_array_memory_size() * 20 < batch.get_array_memory_size());
    }
}
