//! Compares the files of random rows with random writer properties.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, ListArray, RecordBatch, StringBuilder, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use fastrand::Rng;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};

use super::{all_compressions, compare};

/// A generator of record batches and writer properties.
struct Generator {
    random: Rng,
}

impl Generator {
    fn below(&mut self, end: usize) -> usize {
        self.random.usize(..end)
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn nulls(&mut self, rows: usize) -> Option<NullBuffer> {
        let one_in = self.pick(&[0, 1, 2, 3, 50, usize::MAX]);
        let valid = |generator: &mut Self| one_in == usize::MAX || generator.below(one_in) > 0;
        (one_in > 0).then(|| (0..rows).map(|_| valid(self)).collect())
    }

    fn strings(&mut self, rows: usize, nulls: Option<&NullBuffer>) -> ArrayRef {
        let (kind, many) = (self.below(7), self.pick(&[1, 5, 300, 100_000]));
        let mut builder = StringBuilder::new();
        let mut last = 0;
        for row in 0..rows {
            if nulls.is_some_and(|nulls| nulls.is_null(row)) {
                builder.append_null();
                continue;
            }
            if kind != 1 || self.below(20) == 0 {
                last = self.below(many);
            }
            match kind {
                0 => builder.append_value(format!("https://example.org/some/path/{last}")),
                2 => builder.append_value("ü".repeat(last % 90)),
                3 => builder.append_value(["", "a", "a\0", "\u{10ffff}"][last % 4]),
                4 if last % 200 == 0 => builder.append_value("x".repeat(9_000)),
                _ => builder.append_value(last.to_string()),
            }
        }
        Arc::new(builder.finish())
    }

    fn batch(&mut self, schema: &SchemaRef, rows: usize) -> RecordBatch {
        let columns = schema.fields().iter().map(|field| self.array(field, rows));
        RecordBatch::try_new(Arc::clone(schema), columns.collect()).unwrap()
    }

    fn array(&mut self, field: &Field, rows: usize) -> ArrayRef {
        let nulls = field.is_nullable().then(|| self.nulls(rows)).flatten();
        match field.data_type() {
            DataType::Utf8 => self.strings(rows, nulls.as_ref()),
            DataType::Struct(fields) => {
                let children = fields.iter().map(|field| match nulls.clone() {
                    // A value that no row shows may be null.
                    Some(nulls) if !field.is_nullable() => self.strings(rows, Some(&nulls)),
                    _ => self.array(field, rows),
                });
                let children = children.collect();
                Arc::new(StructArray::try_new(fields.clone(), children, nulls).unwrap())
            }
            DataType::List(item) => {
                let lengths: Vec<usize> = (0..rows).map(|_| self.below(3)).collect();
                let values = self.array(item, lengths.iter().sum());
                let offsets = OffsetBuffer::from_lengths(lengths);
                Arc::new(ListArray::new(Arc::clone(item), offsets, values, nulls))
            }
            _ => {
                let values = (0..rows).map(|_| self.below(1000) as i64);
                Arc::new(Int64Array::new(values.collect(), nulls))
            }
        }
    }

    fn properties(&mut self) -> WriterPropertiesBuilder {
        let statistics = [
            EnabledStatistics::None,
            EnabledStatistics::Chunk,
            EnabledStatistics::Page,
            EnabledStatistics::Page,
        ];
        WriterProperties::builder()
            .set_dictionary_enabled(self.below(3) > 0)
            .set_dictionary_page_size_limit(self.pick(&[1, 100, 5_000, 1 << 20]))
            .set_data_page_size_limit(self.pick(&[1, 100, 5_000, 1 << 20]))
            .set_data_page_row_count_limit(self.pick(&[1, 7, 100, 20_000]))
            .set_write_batch_size(self.pick(&[1, 10, 64, 1024]))
            .set_compression(self.pick(&all_compressions()))
            .set_statistics_enabled(self.pick(&statistics))
            .set_statistics_truncate_length(self.pick(&[None, Some(1), Some(5), Some(64)]))
            .set_column_index_truncate_length(self.pick(&[None, Some(1), Some(5), Some(64)]))
            .set_write_page_header_statistics(self.below(2) == 0)
            .set_offset_index_disabled(self.below(6) == 0)
    }
}

fn nested_schema() -> SchemaRef {
    let text = |name: &str, nullable: bool| Field::new(name, DataType::Utf8, nullable);
    let number = Field::new("number", DataType::Int64, true);
    let list = DataType::List(Arc::new(text("element", true)));
    let inner = Fields::from(vec![
        text("deep", true),
        number.clone(),
        text("must", false),
    ]);
    let outer = Fields::from(vec![
        Field::new("inner", DataType::Struct(inner), true),
        Field::new("list", list, true),
        text("text", true),
    ]);
    let only = Fields::from(vec![text("nullable", true), text("required", false)]);
    Arc::new(Schema::new(vec![
        text("required", false),
        number.clone(),
        Field::new("outer", DataType::Struct(outer), true),
        text("nullable", true),
        Field::new("only", DataType::Struct(only.clone()), false),
        Field::new("maybe", DataType::Struct(only), true),
        Field::new("numbers", DataType::Struct(vec![number].into()), true),
    ]))
}

/// Two levels of structs with nulls, sliced batches, several row groups, any properties.
#[test]
fn random_rows_and_properties() {
    let schema = nested_schema();
    for seed in 0..120 {
        let mut generator = Generator {
            random: Rng::with_seed(seed),
        };
        let properties = generator.properties();
        let rows = generator.pick(&[1, 20, 200, 900]);
        let groups = 1 + generator.below(2);
        let groups = (0..groups).map(|_| {
            let batches = 1 + generator.below(4);
            let batches = (0..batches).map(|_| {
                let batch = generator.batch(&schema, rows);
                let first = generator.below(rows);
                batch.slice(first, 1 + generator.below(rows - first))
            });
            batches.collect()
        });
        let groups = groups.collect();
        compare(&format!("seed {seed}"), &schema, &groups, properties);
    }
}
