//! Columns of objects, which are structs in Arrow.

use std::sync::Arc;

use arrow::array::builder::NullBufferBuilder;
use arrow::array::{ArrayRef, StructArray};
use arrow::datatypes::Fields;
use arrow::error::ArrowError;

use crate::jsonl::fast::column::ColumnDecoder;
use crate::jsonl::fast::field_key::FieldKey;
use crate::jsonl::fast::scan::{byte, skip_space};
use crate::jsonl::fast::skip::{colon_end, skip_string, skip_value};

/// Decodes a column of type `Struct`.
pub(crate) struct ObjectColumn {
    fields: Fields,
    members: Vec<ObjectMember>,
    /// The indexes of the members, sorted by the length, then the bytes of their names.
    by_name: Vec<usize>,
    /// The indexes of the members that are not nullable.
    required: Vec<usize>,
    validity: NullBufferBuilder,
    nullable: bool,
}

struct ObjectMember {
    key: FieldKey,
    column: Box<dyn ColumnDecoder>,
}

impl ObjectColumn {
    /// Creates a column of objects with `fields`, whose values are decoded by `columns`. Returns
    /// `None` if two fields have the same name, or if JSON has to escape a name.
    pub(crate) fn new(
        fields: &Fields,
        columns: Vec<Box<dyn ColumnDecoder>>,
        nullable: bool,
    ) -> Option<Self> {
        let members = fields
            .iter()
            .zip(columns)
            .map(|(field, column)| {
                let key = FieldKey::new(field.name())?;
                Some(ObjectMember { key, column })
            })
            .collect::<Option<Vec<_>>>()?;
        let sort_key = |index: &usize| {
            let member = members.get(*index);
            member.map(|member| name_order(member.key.name()))
        };
        let mut by_name: Vec<usize> = (0..members.len()).collect();
        by_name.sort_by_key(sort_key);
        if by_name.is_sorted_by(|a, b| sort_key(a) < sort_key(b)) {
            let required = fields
                .iter()
                .enumerate()
                .filter(|(_, field)| !field.is_nullable())
                .map(|(index, _)| index);
            return Some(Self {
                fields: Fields::clone(fields),
                required: required.collect(),
                by_name,
                members,
                validity: NullBufferBuilder::new(0),
                nullable,
            });
        }
        None
    }

    /// Finds the member whose key begins at `at` where another one was expected. Returns its index
    /// and the start of its value; the index of a key of no field is the number of members.
    #[inline(never)]
    fn find(&self, line: &[u8], at: usize) -> Option<(usize, usize)> {
        if byte(line, at) != b'"' {
            return None;
        }
        let end = skip_string(line, at + 1)?;
        let name = line.get(at + 1..end - 1)?;
        // With escapes, it can be the name of any member.
        if name.contains(&b'\\') {
            return None;
        }
        let found = self.by_name.binary_search_by(|index| {
            let member_name = self.members.get(*index).map(|member| member.key.name());
            name_order(member_name.unwrap_or_default()).cmp(&name_order(name))
        });
        let index = found.ok().and_then(|position| self.by_name.get(position));
        let value = colon_end(line, end)?;
        Some((index.copied().unwrap_or(self.members.len()), value))
    }

    /// Reads the members of the object whose `{` is at `at` as those of `row`, and returns the end of
    /// the object.
    #[inline(always)]
    fn read_members(&mut self, line: &[u8], at: usize, row: usize) -> Option<usize> {
        let mut at = at + 1;
        let mut expected = 0;
        let mut is_first = true;
        loop {
            let usual = self
                .members
                .get(expected)
                .and_then(|member| member.key.end(line, at));
            let index = match usual {
                Some(value) => {
                    at = skip_space(line, value);
                    expected
                }
                None => {
                    at = skip_space(line, at);
                    if is_first && byte(line, at) == b'}' {
                        at += 1;
                        break;
                    }
                    let found;
                    (found, at) = self.find(line, at)?;
                    found
                }
            };
            at = match self.members.get_mut(index) {
                Some(member) => {
                    expected = index + 1;
                    member.column.read(line, at, row)?
                }
                None => skip_value(line, at)?,
            };
            at = skip_space(line, at);
            match byte(line, at) {
                b',' => at += 1,
                b'}' => {
                    at += 1;
                    break;
                }
                _ => return None,
            }
            is_first = false;
        }
        let mut required = self.required.iter();
        let has_all = required.all(|index| {
            let member = self.members.get(*index);
            member.is_some_and(|member| member.column.len() > row)
        });
        has_all.then_some(at)
    }
}

/// Returns the sort key of a name. Lengths are compared first, which is cheaper.
fn name_order(name: &[u8]) -> (usize, &[u8]) {
    (name.len(), name)
}

impl ColumnDecoder for ObjectColumn {
    fn len(&self) -> usize {
        self.validity.len()
    }

    fn is_nullable(&self) -> bool {
        self.nullable
    }

    fn pad(&mut self, rows: usize) {
        let missing = rows.saturating_sub(self.len());
        if missing > 0 {
            self.validity.append_n_nulls(missing);
        }
    }

    fn read(&mut self, line: &[u8], at: usize, row: usize) -> Option<usize> {
        if byte(line, at) != b'{' {
            return self.read_null(line, at, row);
        }
        self.claim(row)?;
        let end = self.read_members(line, at, row)?;
        self.validity.append_non_null();
        Some(end)
    }

    fn truncate(&mut self, rows: usize) {
        self.validity.truncate(rows);
        for member in &mut self.members {
            member.column.truncate(rows);
        }
    }

    fn finish(&mut self, rows: usize) -> Result<ArrayRef, ArrowError> {
        self.pad(rows);
        let members = self.members.iter_mut();
        let columns = members.map(|member| member.column.finish(rows));
        Ok(Arc::new(StructArray::try_new_with_length(
            Fields::clone(&self.fields),
            columns.collect::<Result<_, _>>()?,
            self.validity.finish(),
            rows,
        )?))
    }
}
