//! Hashes of rows and of their values, in which values are equal only if they are the same bit by bit.
//!
//! ```text
//! value ─two hashes of 64 bits, of the column's own seeds→ sum over the columns ─mixed→ hash of the row, 128 bits
//! ```

use std::hash::{BuildHasher, Hasher};

use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType,
};
use foldhash::quality::FixedState;

use crate::error::{Error, Result};

/// The seeds of the two halves of a hash.
const SEEDS: [u64; 2] = [0x243f_6a88_85a3_08d3, 0xa409_3822_299f_31d0];

/// The hash of NULL is that of a number which no value has the width of.
const NULL: u128 = 0x4e55_4c4c;

/// The two sums of the hashes of a row's values.
pub(crate) type RowSums = [u64; 2];

/// Returns the hashes of the values of the column `index`, which are comparable with those of another batch.
pub(crate) fn column_hashes(array: &dyn Array, index: usize) -> Result<Vec<u64>> {
    let mut hashes = vec![[0; 2]; array.len()];
    add_hashes(array, &column_states(index), &mut hashes)?;
    Ok(hashes.into_iter().map(|[first, _]| first).collect())
}

/// Returns the seeds of a column: its values have other hashes than those of another column.
pub(crate) fn column_states(index: usize) -> [FixedState; 2] {
    SEEDS.map(|seed| FixedState::with_seed(seed.wrapping_add(index as u64)))
}

/// Makes a hash of the sums, of which the sum of other rows says nothing.
pub(crate) fn mixed(sums: RowSums) -> u128 {
    let half = |seed| {
        let mut hasher = FixedState::with_seed(seed).build_hasher();
        hasher.write_u64(sums[0]);
        hasher.write_u64(sums[1]);
        u128::from(hasher.finish())
    };
    half(!SEEDS[0]) << 64 | half(!SEEDS[1])
}

/// The hasher of one half.
type HalfHasher = foldhash::quality::FoldHasher<'static>;

/// Adds the hashes of values to the sums of their rows. `write` gives the value of a row to the hasher of
/// a half.
#[inline(always)]
fn add_each(
    array: &dyn Array,
    states: &[FixedState; 2],
    sums: &mut [[u64; 2]],
    write: impl Fn(&mut HalfHasher, usize, usize),
) {
    let null = states.each_ref().map(|state| state.hash_one(NULL));
    let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0);
    if nulls.is_some_and(|nulls| nulls.null_count() == array.len()) {
        for sum in sums {
            *sum = [sum[0].wrapping_add(null[0]), sum[1].wrapping_add(null[1])];
        }
        return;
    }
    for (row, sum) in sums.iter_mut().enumerate() {
        let is_null = nulls.is_some_and(|nulls| nulls.is_null(row));
        for (half, (sum, state)) in sum.iter_mut().zip(states).enumerate() {
            let hash = match is_null {
                true => null[half],
                false => {
                    let mut hasher = state.build_hasher();
                    write(&mut hasher, row, half);
                    hasher.finish()
                }
            };
            *sum = sum.wrapping_add(hash);
        }
    }
}

/// Returns true if the values of a type can be hashed.
pub(crate) fn is_hashable(data_type: &DataType) -> bool {
    let none = arrow::array::new_empty_array(data_type);
    add_hashes(&none, &column_states(0), &mut []).is_ok()
}

/// Adds the hashes of the values of a column to the sums of their rows.
///
/// # Errors
/// Fails for a type that no export has.
pub(crate) fn add_hashes(
    array: &dyn Array,
    states: &[FixedState; 2],
    sums: &mut [RowSums],
) -> Result<()> {
    match array.data_type() {
        DataType::Boolean => {
            let values = array.as_boolean();
            add_each(array, states, sums, |hasher, row, _| {
                hasher.write_u8(u8::from(values.value(row)));
            });
        }
        DataType::Int32 => {
            let values = array.as_primitive::<Int32Type>().values();
            add_each(array, states, sums, |hasher, row, _| {
                hasher.write_i64(i64::from(values[row]));
            });
        }
        DataType::Int64 => {
            let values = array.as_primitive::<Int64Type>().values();
            add_each(array, states, sums, |hasher, row, _| {
                hasher.write_i64(values[row])
            });
        }
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>().values();
            add_each(array, states, sums, |hasher, row, _| {
                hasher.write_u64(values[row].to_bits());
            });
        }
        DataType::Date32 => {
            let values = array.as_primitive::<Date32Type>().values();
            add_each(array, states, sums, |hasher, row, _| {
                hasher.write_i64(i64::from(values[row]));
            });
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let values = array.as_primitive::<TimestampMicrosecondType>().values();
            add_each(array, states, sums, |hasher, row, _| {
                hasher.write_i64(values[row])
            });
        }
        DataType::Decimal128(_, _) => {
            let values = array.as_primitive::<Decimal128Type>().values();
            add_each(array, states, sums, |hasher, row, _| {
                hasher.write_i128(values[row]);
                hasher.write_u8(0);
            });
        }
        DataType::Utf8View => {
            let values = array.as_string_view();
            add_each(array, states, sums, |hasher, row, _| {
                write_bytes(hasher, values.value(row).as_bytes());
            });
        }
        DataType::Utf8 => {
            let values = array.as_string::<i32>();
            add_each(array, states, sums, |hasher, row, _| {
                write_bytes(hasher, values.value(row).as_bytes());
            });
        }
        DataType::Binary => {
            let values = array.as_binary::<i32>();
            add_each(array, states, sums, |hasher, row, _| {
                write_bytes(hasher, values.value(row));
            });
        }
        DataType::List(_) => {
            let lists = array.as_list::<i32>();
            let offsets = lists.value_offsets();
            let (first, last) = match offsets {
                [first, .., last] => (*first as usize, *last as usize),
                _ => (0, 0),
            };
            let mut items = vec![[0; 2]; last - first];
            add_hashes(
                &lists.values().slice(first, last - first),
                states,
                &mut items,
            )?;
            add_each(array, states, sums, |hasher, row, half| {
                let range = offsets[row] as usize - first..offsets[row + 1] as usize - first;
                hasher.write_u64(range.len() as u64);
                for item in &items[range] {
                    hasher.write_u64(item[half]);
                }
            });
        }
        DataType::Struct(_) => {
            let members = array.as_struct().columns().iter();
            let hashes: Vec<Vec<[u64; 2]>> = members
                .map(|member| {
                    let mut hashes = vec![[0; 2]; member.len()];
                    add_hashes(member, states, &mut hashes).map(|()| hashes)
                })
                .collect::<Result<_>>()?;
            add_each(array, states, sums, |hasher, row, half| {
                for member in &hashes {
                    hasher.write_u64(member[row][half]);
                }
            });
        }
        other => {
            return Err(Error::internal(format!(
                "values of the type {other} cannot be compared"
            )));
        }
    }
    Ok(())
}

fn write_bytes(hasher: &mut impl Hasher, bytes: &[u8]) {
    hasher.write(bytes);
    hasher.write_u64(bytes.len() as u64);
}
