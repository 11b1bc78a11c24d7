//! The fast decoder: lines decoded straight into columns, without tokens, tape or intermediate
//! values.
//!
//! ```text
//! line ─object→ key ─column→ value
//!                └─skip→ a value of no field, which must be valid JSON
//! ```
//! This decoder supports the usual form of JSON: strict grammar, each field once, values of the
//! types in the schema. It keeps nothing of any other line and makes no decision about it: the
//! reference decoder does. Therefore it must accept only lines that the reference decoder accepts,
//! with the same values.
//!
//! Every reading function takes a position `at` in the line and returns the position after what it
//! read, or `None` if that is not of the usual form.

mod boolean;
mod column;
mod escape;
mod field_key;
mod list;
mod null_column;
mod number;
mod object;
mod primitive;
mod scan;
mod skip;
mod string_arena;
mod strings;
mod time;
mod views;

use arrow::array::{AsArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{
    DataType, Date32Type, Fields, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, SchemaRef, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::error::ArrowError;

use self::boolean::BooleanColumn;
use self::column::ColumnDecoder;
pub(crate) use self::escape::escape;
use self::list::ListColumn;
use self::null_column::NullColumn;
use self::object::ObjectColumn;
use self::primitive::{FromJson, PrimitiveColumn};
use self::scan::{byte, skip_space};
use self::strings::StringColumn;
use self::views::StringViewColumn;
use crate::arrow_leaves::leaf_ranges;
use crate::jsonl::leaf_mask::LeafMask;
use crate::jsonl::leaf_rule::LeafRules;
use crate::jsonl::time_column::TimeColumn;

/// The maximum size of the lines of a batch, in bytes: the offsets of strings and lists are `i32`.
const MAX_BATCH_BYTES: usize = i32::MAX as usize;

/// Decodes lines of the usual form.
pub(crate) struct FastDecoder {
    schema: SchemaRef,
    rows: ObjectColumn,
    /// The number of rows in the columns.
    count: usize,
    /// The total length of their lines.
    bytes: usize,
}

impl FastDecoder {
    /// Creates a decoder of the leaves of `schema` that `mask` selects; the others are NULL. Returns
    /// `None` if `schema` has types that only the reference decoder supports. `leaf_rules` are those
    /// of all leaves.
    pub(crate) fn new(schema: &SchemaRef, mask: &LeafMask, leaf_rules: &LeafRules) -> Option<Self> {
        Some(Self {
            schema: SchemaRef::clone(schema),
            rows: object_column(schema.fields(), false, mask, (leaf_rules, 0))?,
            count: 0,
            bytes: 0,
        })
    }

    /// Adds the row of one line. Returns false, and adds nothing, if the line is not of the usual
    /// form.
    #[must_use]
    pub(crate) fn read(&mut self, line: &[u8]) -> bool {
        let is_row = self.bytes + line.len() <= MAX_BATCH_BYTES && self.read_row(line).is_some();
        if is_row {
            self.count += 1;
            self.bytes += line.len();
        } else {
            self.rows.truncate(self.count);
        }
        is_row
    }

    fn read_row(&mut self, line: &[u8]) -> Option<()> {
        str::from_utf8(line).ok()?;
        let start = skip_space(line, 0);
        if byte(line, start) != b'{' {
            return None;
        }
        let end = self.rows.read(line, start, self.count)?;
        (skip_space(line, end) == line.len()).then_some(())
    }

    /// Returns the number of rows that were read.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Returns the rows that were read, and leaves the decoder empty.
    pub(crate) fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let count = std::mem::take(&mut self.count);
        self.bytes = 0;
        let rows = self.rows.finish(count)?;
        let columns = rows.as_struct().columns().to_vec();
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        RecordBatch::try_new_with_options(SchemaRef::clone(&self.schema), columns, &options)
    }
}

/// The rules of all leaves, and the index of the first leaf of a column.
type RulesFrom<'a> = (&'a LeafRules, usize);

fn object_column(
    fields: &Fields,
    nullable: bool,
    mask: &LeafMask,
    (rules, first_leaf): RulesFrom<'_>,
) -> Option<ObjectColumn> {
    let columns = leaf_ranges(fields, first_leaf)
        .enumerate()
        .map(|(index, (field, leaves))| {
            let rules = (rules, leaves.start);
            column(
                field.data_type(),
                field.is_nullable(),
                mask.member(index),
                rules,
            )
        });
    ObjectColumn::new(fields, columns.collect::<Option<_>>()?, nullable)
}

/// Creates the decoder of a column. Returns `None` if its type is not supported.
fn column(
    data_type: &DataType,
    nullable: bool,
    mask: &LeafMask,
    rules: RulesFrom<'_>,
) -> Option<Box<dyn ColumnDecoder>> {
    fn primitive<T: FromJson>(
        data_type: &DataType,
        nullable: bool,
        (rules, leaf): RulesFrom<'_>,
    ) -> Box<dyn ColumnDecoder> {
        let rule = rules.of_leaf(leaf);
        let times = TimeColumn::of(data_type, rule);
        match rule.time_format {
            Some(_) => Box::new(PrimitiveColumn::<T, true>::new(data_type, nullable, times)),
            None => Box::new(PrimitiveColumn::<T>::new(data_type, nullable, times)),
        }
    }
    if matches!(mask, LeafMask::None) {
        return Some(Box::new(NullColumn::new(data_type)));
    }
    let new_column = match data_type {
        DataType::Boolean => return Some(Box::new(BooleanColumn::new(nullable))),
        DataType::Utf8View => return Some(Box::new(StringViewColumn::new(nullable))),
        DataType::Utf8 => return Some(Box::new(StringColumn::<i32>::new(nullable))),
        DataType::LargeUtf8 => return Some(Box::new(StringColumn::<i64>::new(nullable))),
        DataType::Struct(fields) => {
            return Some(Box::new(object_column(fields, nullable, mask, rules)?));
        }
        DataType::List(element) | DataType::LargeList(element) => {
            let element_mask = mask.elements();
            let elements = column(
                element.data_type(),
                element.is_nullable(),
                element_mask,
                rules,
            )?;
            let field = element.clone();
            return Some(match data_type {
                DataType::List(_) => Box::new(ListColumn::<i32>::new(field, elements, nullable)),
                _ => Box::new(ListColumn::<i64>::new(field, elements, nullable)),
            });
        }
        DataType::Int8 => primitive::<Int8Type>,
        DataType::Int16 => primitive::<Int16Type>,
        DataType::Int32 => primitive::<Int32Type>,
        DataType::Int64 => primitive::<Int64Type>,
        DataType::UInt8 => primitive::<UInt8Type>,
        DataType::UInt16 => primitive::<UInt16Type>,
        DataType::UInt32 => primitive::<UInt32Type>,
        DataType::UInt64 => primitive::<UInt64Type>,
        DataType::Float32 => primitive::<Float32Type>,
        DataType::Float64 => primitive::<Float64Type>,
        DataType::Date32 => primitive::<Date32Type>,
        DataType::Timestamp(TimeUnit::Second, _) => primitive::<TimestampSecondType>,
        DataType::Timestamp(TimeUnit::Millisecond, _) => primitive::<TimestampMillisecondType>,
        DataType::Timestamp(TimeUnit::Microsecond, _) => primitive::<TimestampMicrosecondType>,
        DataType::Timestamp(TimeUnit::Nanosecond, _) => primitive::<TimestampNanosecondType>,
        _ => return None,
    };
    Some(new_column(data_type, nullable, rules))
}
