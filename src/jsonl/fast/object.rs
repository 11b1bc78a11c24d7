//! Columns of objects.

use std::sync::Arc;

use datafusion::arrow::array::builder::NullBufferBuilder;
use datafusion::arrow::array::{ArrayRef, StructArray};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::datatypes::Fields;
use datafusion::arrow::error::ArrowError;

use crate::jsonl::fast::column::Column;
use crate::jsonl::fast::key::Key;
use crate::jsonl::fast::scan::{byte, skip_space};
use crate::jsonl::fast::skip::{colon_end, skip_string, skip_value};

/// A column of type `Struct`.
pub(crate) struct Objects {
    fields: Fields,
    members: Vec<Member>,
    /// Members by length and bytes of their name.
    by_name: Vec<usize>,
    /// Members that must have a value.
    required: Vec<usize>,
    validity: NullBufferBuilder,
    nullable: bool,
}

struct Member {
    key: Key,
    column: Box<dyn Column>,
}

impl Objects {
    /// A column of objects with `fields`, whose values are read into `columns`. `None` where two
    /// fields have one name, or a name needs escapes.
    pub(crate) fn new(
        fields: &Fields,
        columns: Vec<Box<dyn Column>>,
        nullable: bool,
    ) -> Option<Self> {
        let members = fields.iter().zip(columns).map(|(field, column)| {
            let key = Key::new(field.name())?;
            Some(Member { key, column })
        });
        let members = members.collect::<Option<Vec<_>>>()?;
        let order = |member: &usize| members.get(*member).map(|member| order(member.key.name()));
        let mut by_name: Vec<usize> = (0..members.len()).collect();
        by_name.sort_by_key(order);
        if by_name.is_sorted_by(|a, b| order(a) < order(b)) {
            let required = fields.iter().enumerate();
            let required = required.filter(|(_, field)| !field.is_nullable());
            return Some(Self {
                fields: Fields::clone(fields),
                required: required.map(|(member, _)| member).collect(),
                by_name,
                members,
                validity: NullBufferBuilder::new(0),
                nullable,
            });
        }
        None
    }

    /// The place of a member that is not the expected one, and where its value begins. A key of no
    /// field is behind all members.
    #[inline(never)]
    fn find(&self, line: &[u8], at: usize) -> Option<(usize, usize)> {
        if byte(line, at) != b'"' {
            return None;
        }
        let end = skip_string(line, at + 1)?;
        let name = line.get(at + 1..end - 1)?;
        // It may stand for any name.
        if name.contains(&b'\\') {
            return None;
        }
        let found = self.by_name.binary_search_by(|member| {
            let name_of = self.members.get(*member).map(|member| member.key.name());
            order(name_of.unwrap_or_default()).cmp(&order(name))
        });
        let member = found.ok().and_then(|place| self.by_name.get(place));
        let value = colon_end(line, end)?;
        Some((member.copied().unwrap_or(self.members.len()), value))
    }

    /// Reads the members of an object, as those of the row `row`: the end of the object. `at` is
    /// its `{`.
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
            let member = match usual {
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
                    let member;
                    (member, at) = self.find(line, at)?;
                    member
                }
            };
            at = match self.members.get_mut(member) {
                Some(found) => {
                    expected = member + 1;
                    found.column.read(line, at, row)?
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
        let has_all = required.all(|member| {
            let member = self.members.get(*member);
            member.is_some_and(|member| member.column.len() > row)
        });
        has_all.then_some(at)
    }
}

/// Lengths are compared first.
fn order(name: &[u8]) -> (usize, &[u8]) {
    (name.len(), name)
}

impl Column for Objects {
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
        let columns = self.members.iter_mut();
        let columns = columns.map(|member| member.column.finish(rows));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let nulls: Option<NullBuffer> = self.validity.finish();
        let fields = Fields::clone(&self.fields);
        let objects = StructArray::try_new_with_length(fields, columns, nulls, rows)?;
        Ok(Arc::new(objects))
    }
}
