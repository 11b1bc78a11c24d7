//! Writes record batches as lines of JSON.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BooleanArray, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    DataType, Date32Type, FieldRef, Fields, Float64Type, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType,
};
use arrow::error::ArrowError;
use arrow::json::writer::{NullableEncoder, make_encoder};
use arrow::json::{EncoderFactory, EncoderOptions};

use crate::codec::json::numbers;
use crate::codec::json::output_text::OutputText;
use crate::codec::json::strict_times::StrictTimes;
use crate::codec::json::strings::{ContiguousStrings, StringViews, quoted};
use crate::codec::json::time::TimeColumn;

/// A key of an object, spelled `,"name":"`: the comma of the first key becomes `{`, and the last
/// quote is the first of a string, or not used.
#[derive(Debug)]
struct ObjectKey {
    spelled: Box<[u8]>,
    /// The start of `spelled`, copied as a whole if the key is short.
    short: [u8; ObjectKey::SHORT],
}

impl ObjectKey {
    const SHORT: usize = 32;

    fn new(name: &str) -> Self {
        let mut text = OutputText::default();
        text.push_byte(b',');
        quoted(name, &mut text);
        text.push_slice(b":\"");
        let spelled = text.into_bytes().into_boxed_slice();
        let mut short = [0; Self::SHORT];
        let len = spelled.len().min(Self::SHORT);
        short[..len].copy_from_slice(&spelled[..len]);
        Self { spelled, short }
    }

    /// Writes the key, with the first quote of its value if `quote`.
    #[inline(always)]
    fn write(&self, quote: bool, text: &mut OutputText) {
        let len = self.spelled.len() - usize::from(!quote);
        if len <= Self::SHORT {
            text.push_prefix(&self.short, len);
        } else {
            text.push_slice(&self.spelled[..len]);
        }
    }
}

/// The nesting and keys of a schema, shared by all its batches.
#[derive(Debug)]
enum Shape {
    Leaf,
    List(Box<Shape>),
    Struct(Vec<(ObjectKey, Shape)>),
}

impl Shape {
    fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::List(item) => Self::List(Box::new(Self::of(item.data_type()))),
            DataType::Struct(fields) => Self::of_fields(fields),
            _ => Self::Leaf,
        }
    }

    fn of_fields(fields: &Fields) -> Self {
        let fields = fields.iter();
        Self::Struct(
            fields
                .map(|field| (ObjectKey::new(field.name()), Self::of(field.data_type())))
                .collect(),
        )
    }
}

/// Writes batches of one schema as lines of JSON, spelled as by `arrow::json`: one object a row, NULL
/// fields left out.
#[derive(Debug)]
pub struct LineWriter {
    shape: Shape,
    /// The options of the types that are left to `arrow::json`.
    options: EncoderOptions,
    times: Arc<StrictTimes>,
}

impl LineWriter {
    /// Creates a writer of batches with these fields.
    pub fn new(fields: &Fields) -> Self {
        let times = Arc::<StrictTimes>::default();
        let factory: Arc<dyn EncoderFactory> = Arc::<StrictTimes>::clone(&times);
        Self {
            shape: Shape::of_fields(fields),
            options: EncoderOptions::default().with_encoder_factory(factory),
            times,
        }
    }

    /// Appends a line for each row of a batch with the fields given to [`LineWriter::new`], and calls
    /// `after_line` after each.
    ///
    /// # Errors
    /// Fails on a type that has no JSON, with nothing written, and on a time that has no text, after
    /// which the text must be dropped.
    pub fn write(
        &self,
        batch: &RecordBatch,
        text: &mut OutputText,
        mut after_line: impl FnMut(&mut OutputText),
    ) -> Result<(), ArrowError> {
        let fields = batch.schema_ref().fields();
        let mut object = ObjectWriter::of(fields, batch.columns(), &self.shape, &self.options)?;
        for row in 0..batch.num_rows() {
            object.write(row, text);
            text.push_byte(b'\n');
            after_line(text);
        }
        self.times.check()
    }
}

/// Writes the rows of a batch or a struct as objects.
struct ObjectWriter<'a>(Vec<ObjectMember<'a>>);

/// One column of a batch or a struct, with its key.
struct ObjectMember<'a> {
    key: &'a ObjectKey,
    nulls: Option<&'a NullBuffer>,
    column: ColumnWriter<'a>,
}

impl<'a> ObjectWriter<'a> {
    fn of(
        fields: &'a Fields,
        columns: &'a [ArrayRef],
        shape: &'a Shape,
        options: &'a EncoderOptions,
    ) -> Result<Self, ArrowError> {
        let Shape::Struct(shapes) = shape else {
            return Err(schema_mismatch());
        };
        if shapes.len() != columns.len() {
            return Err(schema_mismatch());
        }
        let arrays = fields.iter().zip(columns).zip(shapes);
        let members = arrays.map(|((field, array), (key, shape))| {
            Ok(ObjectMember {
                key,
                nulls: array.nulls(),
                column: ColumnWriter::of(field, array, shape, options)?,
            })
        });
        Ok(Self(members.collect::<Result<_, ArrowError>>()?))
    }

    #[inline]
    fn write(&mut self, row: usize, text: &mut OutputText) {
        let start = text.len();
        for member in &mut self.0 {
            if is_null(member.nulls, row) || member.column.is_null(row) {
                continue;
            }
            member.key.write(member.column.is_quoted(), text);
            member.column.write(row, text);
        }
        close(start, b'{', b'}', text);
    }
}

/// Makes an object or a list of the text from `start`, in which a comma precedes each member.
#[inline(always)]
fn close(start: usize, opening: u8, closing: u8, text: &mut OutputText) {
    if text.len() == start {
        text.push_byte(opening);
    } else {
        text.set_byte(start, opening);
    }
    text.push_byte(closing);
}

#[inline(always)]
fn is_null(nulls: Option<&NullBuffer>, row: usize) -> bool {
    nulls.is_some_and(|nulls| nulls.is_null(row))
}

fn schema_mismatch() -> ArrowError {
    ArrowError::SchemaError("a batch is not of the schema of its file".to_owned())
}

/// Writes the values of one column.
enum ColumnWriter<'a> {
    String(ContiguousStrings<'a, i32>),
    LargeString(ContiguousStrings<'a, i64>),
    StringView(StringViews<'a>),
    Integer32(&'a [i32]),
    Integer64(&'a [i64]),
    Float(&'a [f64]),
    Boolean(&'a BooleanArray),
    Instant(TimeColumn<'a, TimestampMicrosecondType>),
    Day(TimeColumn<'a, Date32Type>),
    Binary(&'a BinaryArray),
    Struct(ObjectWriter<'a>),
    List(Box<ListWriter<'a>>),
    /// A rare type, left to `arrow::json`.
    Other(NullableEncoder<'a>),
}

/// Writes the values of a list column.
struct ListWriter<'a> {
    offsets: &'a [i32],
    nulls: Option<&'a NullBuffer>,
    items: ColumnWriter<'a>,
}

impl<'a> ColumnWriter<'a> {
    fn of(
        field: &'a FieldRef,
        array: &'a ArrayRef,
        shape: &'a Shape,
        options: &'a EncoderOptions,
    ) -> Result<Self, ArrowError> {
        let direct = match array.data_type() {
            DataType::Utf8 => Some(Self::String(ContiguousStrings::new(array.as_string()))),
            DataType::LargeUtf8 => {
                Some(Self::LargeString(ContiguousStrings::new(array.as_string())))
            }
            DataType::Utf8View => Some(Self::StringView(StringViews::new(array.as_string_view()))),
            DataType::Int32 => Some(Self::Integer32(array.as_primitive::<Int32Type>().values())),
            DataType::Int64 => Some(Self::Integer64(array.as_primitive::<Int64Type>().values())),
            DataType::Float64 => Some(Self::Float(array.as_primitive::<Float64Type>().values())),
            DataType::Boolean => Some(Self::Boolean(array.as_boolean())),
            DataType::Binary => Some(Self::Binary(array.as_binary())),
            DataType::Date32 => TimeColumn::days(array.as_primitive()).map(Self::Day),
            DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if &**zone == "UTC" => {
                TimeColumn::instants(array.as_primitive()).map(Self::Instant)
            }
            DataType::Struct(fields) => {
                let columns = array.as_struct().columns();
                Some(Self::Struct(ObjectWriter::of(
                    fields, columns, shape, options,
                )?))
            }
            DataType::List(item) => {
                let Shape::List(shape) = shape else {
                    return Err(schema_mismatch());
                };
                let list = array.as_list::<i32>();
                Some(Self::List(Box::new(ListWriter {
                    offsets: list.value_offsets(),
                    nulls: list.values().nulls(),
                    items: ColumnWriter::of(item, list.values(), shape, options)?,
                })))
            }
            _ => None,
        };
        match direct {
            Some(column) => Ok(column),
            None => Ok(Self::Other(make_encoder(field, array, options)?)),
        }
    }

    /// Returns true if a value is a JSON string, whose first quote is written before it.
    #[inline(always)]
    fn is_quoted(&self) -> bool {
        match self {
            Self::String(_)
            | Self::LargeString(_)
            | Self::StringView(_)
            | Self::Instant(_)
            | Self::Day(_)
            | Self::Binary(_) => true,
            Self::Integer32(_)
            | Self::Integer64(_)
            | Self::Float(_)
            | Self::Boolean(_)
            | Self::Struct(_)
            | Self::List(_)
            | Self::Other(_) => false,
        }
    }

    /// Returns true if a value is null though the array says otherwise: encoders of `arrow::json`
    /// have NULLs of their own.
    #[inline(always)]
    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Other(encoder) => encoder.is_null(row),
            _ => false,
        }
    }

    #[inline]
    fn write(&mut self, row: usize, text: &mut OutputText) {
        match self {
            Self::String(strings) => strings.write(row, text),
            Self::LargeString(strings) => strings.write(row, text),
            Self::StringView(strings) => strings.write(row, text),
            Self::Integer32(values) => numbers::integer(i64::from(values[row]), text),
            Self::Integer64(values) => numbers::integer(values[row], text),
            Self::Float(values) => numbers::float(values[row], text),
            Self::Boolean(array) => {
                text.push_slice(if array.value(row) { b"true" } else { b"false" });
            }
            Self::Instant(times) => times.write_instant(row, text),
            Self::Day(times) => times.write_day(row, text),
            Self::Binary(array) => numbers::hexadecimal(array.value(row), text),
            Self::Struct(object) => object.write(row, text),
            Self::List(list) => list.write(row, text),
            Self::Other(encoder) => text.append_with(|bytes| encoder.encode(row, bytes)),
        }
    }
}

impl ListWriter<'_> {
    #[inline]
    fn write(&mut self, row: usize, text: &mut OutputText) {
        let start = text.len();
        let quoted = self.items.is_quoted();
        for item in self.offsets[row] as usize..self.offsets[row + 1] as usize {
            text.push_byte(b',');
            if is_null(self.nulls, item) || self.items.is_null(item) {
                text.push_slice(b"null");
                continue;
            }
            if quoted {
                text.push_byte(b'"');
            }
            self.items.write(item, text);
        }
        close(start, b'[', b']', text);
    }
}
