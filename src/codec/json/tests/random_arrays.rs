//! Random arrays of any type, from a seed.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Date64Array, Decimal128Array,
    DictionaryArray, FixedSizeBinaryArray, Float32Array, Float64Array, Int8Array, Int32Array,
    Int64Array, LargeListArray, LargeStringArray, ListArray, MapArray, NullArray, StringArray,
    StringViewArray, StructArray, Time64MicrosecondArray, TimestampMicrosecondArray,
    TimestampMillisecondArray, TimestampNanosecondArray, UInt64Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Fields, Int32Type};
use fastrand::Rng;

/// A generator of arrays; equal seeds give equal arrays.
pub(super) struct ArrayGenerator {
    random: Rng,
}

impl ArrayGenerator {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: Rng::with_seed(seed),
        }
    }

    /// Returns a number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.random.usize(..end)
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    /// Returns an integer of any magnitude, often an awkward one.
    fn whole(&mut self) -> i64 {
        match self.below(4) {
            0 => {
                let power = 10_i64.pow(self.below(19) as u32);
                let near = power + self.below(3) as i64 - 1;
                near * self.pick(&[1, -1])
            }
            1 => self.pick(&[0, -1, i64::MIN, i64::MAX, 9_007_199_254_740_993]),
            _ => self.random.i64(..) >> self.below(64),
        }
    }

    fn float(&mut self) -> f64 {
        const AWKWARD: [f64; 12] = [
            0.0,
            -0.0,
            1.0,
            0.1,
            1e9,
            1e10,
            1e-5,
            1e-6,
            1e300,
            f64::NAN,
            f64::INFINITY,
            5e-324,
        ];
        match self.below(3) {
            0 => self.pick(&AWKWARD),
            1 => self.whole() as f64 / 1000.0,
            _ => f64::from_bits(self.random.u64(..)),
        }
    }

    /// Returns text of any length, with and without bytes to escape, anywhere.
    fn text(&mut self) -> String {
        const AWKWARD: [&str; 16] = [
            "\"", "\\", "\n", "\r", "\t", "\u{8}", "\u{c}", "\0", "\u{1f}", "\u{7f}", "\u{2028}",
            "é", "東京", "😀", "/", "\u{80}",
        ];
        let plain = "https://example.com/a-path/2026?q=1&r=2 <b>".repeat(8);
        let mut text = String::new();
        for _ in 0..self.below(4) {
            let length = self.pick(&[0, 1, 7, 31, 32, 33, 63, 64, 65, 127, 128, 129, 300]);
            text.push_str(&plain[..length]);
            if self.below(3) == 0 {
                text.push_str(self.pick::<&str>(&AWKWARD));
            }
        }
        text
    }

    fn micros(&mut self, all_years: bool) -> i64 {
        let usual = match self.below(3) {
            0 => 1_768_435_200_000_000 + self.below(86_400_000_000) as i64,
            1 => self.pick(&[
                0,
                -1,
                999_999,
                -62_167_219_200_000_000,
                253_402_300_799_999_999,
            ]),
            _ => (self.random.u64(..) >> 10) as i64 - 62_000_000_000_000_000 / 10,
        };
        let is_any_year = all_years && self.below(20) == 0;
        let micros = if is_any_year { self.whole() } else { usual };
        match self.below(3) {
            0 => micros / 1_000_000 * 1_000_000,
            1 => micros / 1000 * 1000,
            _ => micros,
        }
    }

    fn many<T>(&mut self, len: usize, mut value: impl FnMut(&mut Self) -> T) -> Vec<Option<T>> {
        let holes = self.below(3);
        (0..len)
            .map(|_| {
                let value = value(self);
                (holes == 0 || self.below(4) >= holes).then_some(value)
            })
            .collect()
    }

    fn nulls(&mut self, len: usize) -> Option<NullBuffer> {
        let valid = self.many(len, |_| ());
        let valid: Vec<bool> = valid.iter().map(Option::is_some).collect();
        (self.below(2) == 0).then(|| NullBuffer::from(valid))
    }

    fn offsets(&mut self, len: usize) -> OffsetBuffer<i32> {
        OffsetBuffer::from_lengths((0..len).map(|_| self.pick(&[0, 0, 1, 2, 9])))
    }

    fn fields(&mut self, depth: usize, len: usize) -> (Fields, Vec<ArrayRef>) {
        let columns: Vec<ArrayRef> = (0..self.below(5) + 1)
            .map(|_| self.array(depth, len))
            .collect();
        let fields = columns.iter().enumerate().map(|(number, column)| {
            let name = self.pick(&[
                "a",
                "",
                "a key that is \"longer\" than any that fits",
                "ключ\n",
            ]);
            Field::new(format!("{name}{number}"), column.data_type().clone(), true)
        });
        (fields.collect(), columns)
    }

    /// Returns an array of `len` values of any type, which may begin anywhere in its buffers.
    pub(super) fn array(&mut self, depth: usize, len: usize) -> ArrayRef {
        let (before, after) = (self.below(4), self.below(4));
        let whole = self.whole_array(depth, before + len + after);
        whole.slice(before, len)
    }

    fn whole_array(&mut self, depth: usize, len: usize) -> ArrayRef {
        let kinds = if depth == 0 { 22 } else { 27 };
        match self.below(kinds) {
            0..=3 => Arc::new(StringArray::from(self.many(len, Self::text))),
            4 => Arc::new(LargeStringArray::from(self.many(len, Self::text))),
            5 => Arc::new(StringViewArray::from_iter(self.many(len, Self::text))),
            6 => Arc::new(Int32Array::from(
                self.many(len, |generator| generator.whole() as i32),
            )),
            7 => Arc::new(Int64Array::from(self.many(len, Self::whole))),
            8 => Arc::new(Float64Array::from(self.many(len, Self::float))),
            9 => Arc::new(BooleanArray::from(
                self.many(len, |generator| generator.below(2) == 0),
            )),
            10 => {
                let all_years = self.below(2) == 0;
                let values = self.many(len, |generator| generator.micros(all_years));
                let zone = self.pick(&["UTC", "UTC", "+00:00", "+01:30"]);
                Arc::new(TimestampMicrosecondArray::from(values).with_timezone(zone))
            }
            11 => Arc::new(TimestampMicrosecondArray::from(
                self.many(len, |generator| generator.micros(true)),
            )),
            12 => {
                let values = self.many(len, |generator| generator.micros(false) / 1000);
                Arc::new(TimestampMillisecondArray::from(values).with_timezone("UTC"))
            }
            13 => {
                let values = self.many(len, Self::whole);
                Arc::new(TimestampNanosecondArray::from(values).with_timezone("UTC"))
            }
            14 => {
                let all_years = self.below(2) == 0;
                Arc::new(Date32Array::from(self.many(
                    len,
                    |generator| match generator.below(20) {
                        0 if all_years => generator.random.i32(..) >> generator.below(32),
                        _ => (generator.micros(false) / 86_400_000_000) as i32,
                    },
                )))
            }
            15 => Arc::new(Date64Array::from(
                self.many(len, |generator| generator.micros(false) / 1000),
            )),
            16 => {
                let values = self.many(len, |generator| i128::from(generator.whole()));
                let decimal = Decimal128Array::from(values).with_precision_and_scale(38, 5);
                Arc::new(decimal.unwrap())
            }
            17 => {
                let values = self.many(len, |generator| generator.text().into_bytes());
                Arc::new(BinaryArray::from_iter(values))
            }
            18 => {
                let values = self.many(len, |generator| generator.random.u64(..).to_le_bytes());
                let binary =
                    FixedSizeBinaryArray::try_from_sparse_iter_with_size(values.into_iter(), 8);
                Arc::new(binary.unwrap())
            }
            19 => {
                let texts = self.many(len, Self::text);
                let values = texts.iter().map(Option::as_deref);
                Arc::new(DictionaryArray::<Int32Type>::from_iter(values))
            }
            20 => match self.below(4) {
                0 => Arc::new(Int8Array::from(
                    self.many(len, |generator| generator.random.i8(..)),
                )),
                1 => Arc::new(UInt64Array::from(
                    self.many(len, |generator| generator.random.u64(..)),
                )),
                2 => Arc::new(NullArray::new(len)),
                _ => Arc::new(Float32Array::from(
                    self.many(len, |generator| generator.float() as f32),
                )),
            },
            21 => {
                let values = self.many(len, |generator| generator.below(86_400_000_000) as i64);
                Arc::new(Time64MicrosecondArray::from(values))
            }
            22 | 23 => {
                let (fields, columns) = self.fields(depth - 1, len);
                Arc::new(StructArray::new(fields, columns, self.nulls(len)))
            }
            24 => {
                let offsets = self.offsets(len);
                let keys = self.many(offsets[len] as usize, Self::text);
                let keys: ArrayRef = Arc::new(StringArray::from_iter_values(
                    keys.into_iter().map(Option::unwrap_or_default),
                ));
                let values = self.array(depth - 1, keys.len());
                let fields = Fields::from(vec![
                    Field::new("key", DataType::Utf8, false),
                    Field::new("value", values.data_type().clone(), true),
                ]);
                let entries = StructArray::new(fields, vec![keys, values], None);
                let field = Field::new("entries", entries.data_type().clone(), false);
                Arc::new(MapArray::new(
                    Arc::new(field),
                    offsets,
                    entries,
                    self.nulls(len),
                    false,
                ))
            }
            25 => {
                let offsets = self.offsets(len);
                let items = self.array(depth - 1, offsets[len] as usize);
                let field = Field::new("item", items.data_type().clone(), true);
                let offsets = OffsetBuffer::new(offsets.iter().map(|o| i64::from(*o)).collect());
                Arc::new(LargeListArray::new(
                    Arc::new(field),
                    offsets,
                    items,
                    self.nulls(len),
                ))
            }
            _ => {
                let offsets = self.offsets(len);
                let items = self.array(depth - 1, offsets[len] as usize);
                let field = Field::new("item", items.data_type().clone(), true);
                Arc::new(ListArray::new(
                    Arc::new(field),
                    offsets,
                    items,
                    self.nulls(len),
                ))
            }
        }
    }
}
