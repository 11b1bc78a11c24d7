//! Record batches to lines of JSON.

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BooleanArray, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    DataType, Date32Type, FieldRef, Fields, Float64Type, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType,
};
use arrow::error::ArrowError;
use arrow::json::EncoderOptions;
use arrow::json::writer::{NullableEncoder, make_encoder};

use crate::encode::json::numbers;
use crate::encode::json::strings::{Strings, Views, quoted};
use crate::encode::json::text::Text;
use crate::encode::json::time::Times;

/// A key of an object, spelled `,"name":"`: the comma becomes `{` where it is the first, and the
/// last quote is the first of a string, or not used.
#[derive(Debug)]
struct Key {
    spelled: Box<[u8]>,
    /// The start of `spelled`.
    short: [u8; Key::SHORT],
}

impl Key {
    const SHORT: usize = 32;

    fn new(name: &str) -> Self {
        let mut text = Text::default();
        text.byte(b',');
        quoted(name, &mut text);
        text.slice(b":\"");
        let spelled = text.into_bytes().into_boxed_slice();
        let mut short = [0; Self::SHORT];
        let len = spelled.len().min(Self::SHORT);
        short[..len].copy_from_slice(&spelled[..len]);
        Self { spelled, short }
    }

    #[inline(always)]
    fn write(&self, quote: bool, text: &mut Text) {
        let len = self.spelled.len() - usize::from(!quote);
        if len <= Self::SHORT {
            text.start_of(&self.short, len);
        } else {
            text.slice(&self.spelled[..len]);
        }
    }
}

/// What all batches of a schema have in common.
#[derive(Debug)]
enum Shape {
    Leaf,
    List(Box<Shape>),
    Struct(Vec<(Key, Shape)>),
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
                .map(|field| (Key::new(field.name()), Self::of(field.data_type())))
                .collect(),
        )
    }
}

/// Writes batches of one schema as lines of JSON, spelled as `arrow::json` does: one object a row,
/// NULL fields left out.
#[derive(Debug)]
pub struct LineWriter {
    shape: Shape,
    /// For the types that are left to `arrow::json`.
    options: EncoderOptions,
}

impl LineWriter {
    pub fn new(fields: &Fields) -> Self {
        Self {
            shape: Shape::of_fields(fields),
            options: EncoderOptions::default(),
        }
    }

    /// Appends a line for each row of a batch of the schema given to [`LineWriter::new`], and calls
    /// `after_line` after each. Fails, with nothing written, on a type that has no JSON.
    pub fn write(
        &self,
        batch: &RecordBatch,
        text: &mut Text,
        mut after_line: impl FnMut(&mut Text),
    ) -> Result<(), ArrowError> {
        let fields = batch.schema_ref().fields();
        let mut object = Object::of(fields, batch.columns(), &self.shape, &self.options)?;
        for row in 0..batch.num_rows() {
            object.write(row, text);
            text.byte(b'\n');
            after_line(text);
        }
        Ok(())
    }
}

/// The columns of a batch or a struct.
struct Object<'a>(Vec<Member<'a>>);

struct Member<'a> {
    key: &'a Key,
    nulls: Option<&'a NullBuffer>,
    column: Column<'a>,
}

impl<'a> Object<'a> {
    fn of(
        fields: &'a Fields,
        columns: &'a [ArrayRef],
        shape: &'a Shape,
        options: &'a EncoderOptions,
    ) -> Result<Self, ArrowError> {
        let Shape::Struct(shapes) = shape else {
            return Err(unlike_its_schema());
        };
        if shapes.len() != columns.len() {
            return Err(unlike_its_schema());
        }
        let columns = fields.iter().zip(columns).zip(shapes);
        let members = columns.map(|((field, array), (key, shape))| {
            Ok(Member {
                key,
                nulls: array.nulls(),
                column: Column::of(field, array, shape, options)?,
            })
        });
        Ok(Self(members.collect::<Result<_, ArrowError>>()?))
    }

    #[inline]
    fn write(&mut self, row: usize, text: &mut Text) {
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

/// Makes an object or a list of what was written with a comma before each member.
#[inline(always)]
fn close(start: usize, opening: u8, closing: u8, text: &mut Text) {
    if text.len() == start {
        text.byte(opening);
    } else {
        text.replace(start, opening);
    }
    text.byte(closing);
}

#[inline(always)]
fn is_null(nulls: Option<&NullBuffer>, row: usize) -> bool {
    nulls.is_some_and(|nulls| nulls.is_null(row))
}

fn unlike_its_schema() -> ArrowError {
    ArrowError::SchemaError("a batch is not of the schema of its file".to_owned())
}

/// One column of a batch.
enum Column<'a> {
    String(Strings<'a, i32>),
    LargeString(Strings<'a, i64>),
    StringView(Views<'a>),
    Integer32(&'a [i32]),
    Integer64(&'a [i64]),
    Float(&'a [f64]),
    Boolean(&'a BooleanArray),
    Instant(Times<'a, TimestampMicrosecondType>),
    Day(Times<'a, Date32Type>),
    Binary(&'a BinaryArray),
    Struct(Object<'a>),
    List(Box<List<'a>>),
    /// All that a file hardly ever has.
    Other(NullableEncoder<'a>),
}

struct List<'a> {
    offsets: &'a [i32],
    nulls: Option<&'a NullBuffer>,
    items: Column<'a>,
}

impl<'a> Column<'a> {
    fn of(
        field: &'a FieldRef,
        array: &'a ArrayRef,
        shape: &'a Shape,
        options: &'a EncoderOptions,
    ) -> Result<Self, ArrowError> {
        let direct = match array.data_type() {
            DataType::Utf8 => Some(Self::String(Strings::new(array.as_string()))),
            DataType::LargeUtf8 => Some(Self::LargeString(Strings::new(array.as_string()))),
            DataType::Utf8View => Some(Self::StringView(Views::new(array.as_string_view()))),
            DataType::Int32 => Some(Self::Integer32(array.as_primitive::<Int32Type>().values())),
            DataType::Int64 => Some(Self::Integer64(array.as_primitive::<Int64Type>().values())),
            DataType::Float64 => Some(Self::Float(array.as_primitive::<Float64Type>().values())),
            DataType::Boolean => Some(Self::Boolean(array.as_boolean())),
            DataType::Binary => Some(Self::Binary(array.as_binary())),
            DataType::Date32 => Times::days(array.as_primitive()).map(Self::Day),
            DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if &**zone == "UTC" => {
                Times::instants(array.as_primitive()).map(Self::Instant)
            }
            DataType::Struct(fields) => {
                let columns = array.as_struct().columns();
                Some(Self::Struct(Object::of(fields, columns, shape, options)?))
            }
            DataType::List(item) => {
                let Shape::List(shape) = shape else {
                    return Err(unlike_its_schema());
                };
                let list = array.as_list::<i32>();
                Some(Self::List(Box::new(List {
                    offsets: list.value_offsets(),
                    nulls: list.values().nulls(),
                    items: Column::of(item, list.values(), shape, options)?,
                })))
            }
            _ => None,
        };
        match direct {
            Some(column) => Ok(column),
            None => Ok(Self::Other(make_encoder(field, array, options)?)),
        }
    }

    /// Whether a value is a JSON string whose first quote is written before it.
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

    /// Beyond what the array says: encoders of `arrow::json` know NULLs of their own.
    #[inline(always)]
    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Other(encoder) => encoder.is_null(row),
            _ => false,
        }
    }

    #[inline]
    fn write(&mut self, row: usize, text: &mut Text) {
        match self {
            Self::String(strings) => strings.write(row, text),
            Self::LargeString(strings) => strings.write(row, text),
            Self::StringView(strings) => strings.write(row, text),
            Self::Integer32(values) => numbers::integer(i64::from(values[row]), text),
            Self::Integer64(values) => numbers::integer(values[row], text),
            Self::Float(values) => numbers::float(values[row], text),
            Self::Boolean(array) => {
                text.slice(if array.value(row) { b"true" } else { b"false" });
            }
            Self::Instant(times) => times.write_instant(row, text),
            Self::Day(times) => times.write_day(row, text),
            Self::Binary(array) => numbers::hexadecimal(array.value(row), text),
            Self::Struct(object) => object.write(row, text),
            Self::List(list) => list.write(row, text),
            Self::Other(encoder) => text.append(|bytes| encoder.encode(row, bytes)),
        }
    }
}

impl List<'_> {
    #[inline]
    fn write(&mut self, row: usize, text: &mut Text) {
        let start = text.len();
        let quoted = self.items.is_quoted();
        for item in self.offsets[row] as usize..self.offsets[row + 1] as usize {
            text.byte(b',');
            if is_null(self.nulls, item) || self.items.is_null(item) {
                text.slice(b"null");
                continue;
            }
            if quoted {
                text.byte(b'"');
            }
            self.items.write(item, text);
        }
        close(start, b'[', b']', text);
    }
}
