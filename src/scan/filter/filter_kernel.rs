//! Some rows of a batch, copied.
//!
//! As `arrow::compute::filter` does it, but faster where arrow goes value by value: of lists the
//! elements are copied by runs of rows.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, ListArray, MutableArrayData, RecordBatch,
    RecordBatchOptions, StructArray, make_array,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::{FilterBuilder, FilterPredicate};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, internal_err};

/// Which rows are copied.
struct Kept {
    predicate: FilterPredicate,
    /// From, and up to: the rows that stand together.
    runs: Vec<(usize, usize)>,
}

/// The rows of `batch` that are `kept`, of which none is NULL.
pub(crate) fn filtered(batch: &RecordBatch, kept: &BooleanArray) -> Result<RecordBatch> {
    if !kept.has_false() {
        return Ok(batch.clone());
    }
    let kept = Kept::new(kept);
    let columns = batch.columns().iter().map(|column| kept.of(column));
    let options = RecordBatchOptions::new().with_row_count(Some(kept.predicate.count()));
    Ok(RecordBatch::try_new_with_options(
        batch.schema(),
        columns.collect::<Result<_>>()?,
        &options,
    )?)
}

impl Kept {
    fn new(kept: &BooleanArray) -> Self {
        Self {
            predicate: FilterBuilder::new(kept).optimize().build(),
            runs: kept.values().set_slices().collect(),
        }
    }

    fn of(&self, column: &ArrayRef) -> Result<ArrayRef> {
        Ok(match column.data_type() {
            DataType::List(_) => Arc::new(self.lists(column.as_list())?),
            DataType::Struct(fields) => {
                let members = column.as_struct().columns().iter();
                let members = members.map(|member| self.of(member));
                Arc::new(StructArray::try_new_with_length(
                    fields.clone(),
                    members.collect::<Result<_>>()?,
                    self.predicate.filter_nulls(column.nulls()),
                    self.predicate.count(),
                )?)
            }
            _ => self.predicate.filter(column)?,
        })
    }

    fn lists(&self, lists: &ListArray) -> Result<ListArray> {
        let from = lists.value_offsets();
        let elements = lists.values().to_data();
        let ranges = self.runs.iter();
        let ranges = ranges.map(|(start, end)| (from[*start] as usize, from[*end] as usize));
        let count = ranges.clone().map(|(start, end)| end - start).sum();
        let mut kept = MutableArrayData::new(vec![&elements], false, count);
        for (start, end) in ranges {
            kept.try_extend(0, start, end)?;
        }
        let element = match lists.data_type() {
            DataType::List(element) => Arc::clone(element),
            other => return internal_err!("{other} is no list"),
        };
        Ok(ListArray::try_new(
            element,
            self.offsets(from),
            make_array(kept.freeze()),
            self.predicate.filter_nulls(lists.nulls()),
        )?)
    }

    /// Where the kept rows begin and end, of rows that begin and end at `from`.
    fn offsets(&self, from: &[i32]) -> OffsetBuffer<i32> {
        let mut offsets = Vec::with_capacity(self.predicate.count() + 1);
        let mut end = 0;
        offsets.push(end);
        for (first, behind) in &self.runs {
            // Of a run, all rows are moved alike.
            let moved = from[*first] - end;
            let ends = &from[first + 1..=*behind];
            offsets.extend(ends.iter().map(|offset| offset - moved));
            end = from[*behind] - moved;
        }
        OffsetBuffer::new(offsets.into())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Int64Array, StringArray};
    use datafusion::arrow::compute::filter_record_batch;
    use datafusion::arrow::datatypes::{Field, Fields, Schema};
    use datafusion::arrow::json::ReaderBuilder;

    use super::*;

    /// Every kind of column that is copied in its own way, with NULLs, nested.
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
    fn the_same_rows_are_kept_as_by_arrow() {
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
                let kept: BooleanArray = (0..batch.num_rows()).map(|n| Some(pattern(n))).collect();
                let expected = filter_record_batch(&batch, &kept).unwrap();
                assert_eq!(filtered(&batch, &kept).unwrap(), expected);
            }
        }
    }

    #[test]
    fn rows_without_columns_are_counted() {
        let options = RecordBatchOptions::new().with_row_count(Some(3));
        let schema = Arc::new(Schema::empty());
        let batch = RecordBatch::try_new_with_options(schema, vec![], &options).unwrap();
        let kept = BooleanArray::from(vec![true, false, true]);
        assert_eq!(filtered(&batch, &kept).unwrap().num_rows(), 2);
    }

    #[test]
    fn what_is_kept_holds_no_more_than_its_rows() {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1000));
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values(
            (0..1000).map(|n| n.to_string().repeat(20)),
        ));
        let batch = RecordBatch::try_from_iter([("n", numbers), ("text", texts)]).unwrap();
        let kept: BooleanArray = (0..1000).map(|n| Some(n % 100 == 0)).collect();
        let few = filtered(&batch, &kept).unwrap();
        assert!(few.get_array_memory_size() * 20 < batch.get_array_memory_size());
    }
}
