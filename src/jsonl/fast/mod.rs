//! Lines decoded straight into columns.
//!
//! ```text
//! line ─object→ key ─column→ value        no token, tape or value in between
//!                └─skip→ of no field, but JSON
//! ```
//! This decoder knows the usual form of JSON: strict grammar, each field once, values of the types
//! that the schema says. Of any other line it keeps nothing and decides nothing: the reference
//! decoder does. So it must accept only what that one accepts, as the same values.
//!
//! Every reading function takes a position in the line and returns the one behind what it read, or
//! `None` for what is not of the usual form.

mod boolean;
mod column;
mod escape;
mod key;
mod list;
mod null_column;
mod number;
mod object;
mod primitive;
mod scan;
mod skip;
mod strings;
mod text;
mod time;
mod views;

use datafusion::arrow::array::{AsArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Fields, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, SchemaRef, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use datafusion::arrow::error::ArrowError;

use self::boolean::Booleans;
use self::column::Column;
pub(crate) use self::escape::escape;
use self::list::Lists;
use self::null_column::Unwanted;
use self::object::Objects;
use self::primitive::{FromJson, Primitives};
use self::scan::{byte, skip_space};
use self::strings::Strings;
use self::views::StringViews;
use crate::jsonl::projection::Wanted;

/// Offsets of text and of lists are 32 bits wide: no batch is of more text than this.
const MOST_BYTES: usize = i32::MAX as usize;

/// Decodes lines of the usual form.
pub(crate) struct FastDecoder {
    schema: SchemaRef,
    rows: Objects,
    /// How many rows are in the columns.
    count: usize,
    /// The length of their lines.
    bytes: usize,
}

impl FastDecoder {
    /// A decoder of those fields of `schema` that are `wanted`; the others are NULL. `None` where
    /// `schema` has what only the reference decoder can read.
    pub(crate) fn new(schema: &SchemaRef, wanted: &Wanted) -> Option<Self> {
        Some(Self {
            schema: SchemaRef::clone(schema),
            rows: objects(schema.fields(), false, wanted)?,
            count: 0,
            bytes: 0,
        })
    }

    /// Adds the row of one line. Nothing is added if the line is not of the usual form.
    #[must_use]
    pub(crate) fn read(&mut self, line: &[u8]) -> bool {
        let is_row = self.bytes + line.len() <= MOST_BYTES && self.read_row(line).is_some();
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

    /// The number of rows that were read.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// The rows that were read. There are none in the decoder then.
    pub(crate) fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let count = std::mem::take(&mut self.count);
        self.bytes = 0;
        let rows = self.rows.finish(count)?;
        let columns = rows.as_struct().columns().to_vec();
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        RecordBatch::try_new_with_options(SchemaRef::clone(&self.schema), columns, &options)
    }
}

fn objects(fields: &Fields, nullable: bool, wanted: &Wanted) -> Option<Objects> {
    let columns = fields.iter().enumerate().map(|(n, field)| {
        let wanted = wanted.member(n);
        column(field.data_type(), field.is_nullable(), wanted)
    });
    Objects::new(fields, columns.collect::<Option<_>>()?, nullable)
}

/// A column of `data_type`, if that is a type this decoder knows.
fn column(data_type: &DataType, nullable: bool, wanted: &Wanted) -> Option<Box<dyn Column>> {
    fn primitives<T: FromJson>(data_type: &DataType, nullable: bool) -> Box<dyn Column> {
        Box::new(Primitives::<T>::new(data_type, nullable))
    }
    if matches!(wanted, Wanted::Nothing) {
        return Some(Box::new(Unwanted::new(data_type)));
    }
    let primitives = match data_type {
        DataType::Boolean => return Some(Box::new(Booleans::new(nullable))),
        DataType::Utf8View => return Some(Box::new(StringViews::new(nullable))),
        DataType::Utf8 => return Some(Box::new(Strings::<i32>::new(nullable))),
        DataType::LargeUtf8 => return Some(Box::new(Strings::<i64>::new(nullable))),
        DataType::Struct(fields) => return Some(Box::new(objects(fields, nullable, wanted)?)),
        DataType::List(element) | DataType::LargeList(element) => {
            let elements = column(
                element.data_type(),
                element.is_nullable(),
                wanted.elements(),
            )?;
            let element = element.clone();
            return Some(match data_type {
                DataType::List(_) => Box::new(Lists::<i32>::new(element, elements, nullable)),
                _ => Box::new(Lists::<i64>::new(element, elements, nullable)),
            });
        }
        DataType::Int8 => primitives::<Int8Type>,
        DataType::Int16 => primitives::<Int16Type>,
        DataType::Int32 => primitives::<Int32Type>,
        DataType::Int64 => primitives::<Int64Type>,
        DataType::UInt8 => primitives::<UInt8Type>,
        DataType::UInt16 => primitives::<UInt16Type>,
        DataType::UInt32 => primitives::<UInt32Type>,
        DataType::UInt64 => primitives::<UInt64Type>,
        DataType::Float32 => primitives::<Float32Type>,
        DataType::Float64 => primitives::<Float64Type>,
        DataType::Date32 => primitives::<Date32Type>,
        DataType::Timestamp(TimeUnit::Second, _) => primitives::<TimestampSecondType>,
        DataType::Timestamp(TimeUnit::Millisecond, _) => primitives::<TimestampMillisecondType>,
        DataType::Timestamp(TimeUnit::Microsecond, _) => primitives::<TimestampMicrosecondType>,
        DataType::Timestamp(TimeUnit::Nanosecond, _) => primitives::<TimestampNanosecondType>,
        _ => return None,
    };
    Some(primitives(data_type, nullable))
}
