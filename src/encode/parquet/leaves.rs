//! Which leaf columns of a file are written by [`StringColumn`], and what a batch has for each.

use std::slice::Iter;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use parquet::arrow::arrow_writer::{ArrowLeafColumn, compute_leaves};
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::{ColumnDescPtr, SchemaDescriptor};

use super::strings::{Nulls, StringColumn, StringLeaf, applies};
use crate::arrow_leaves::leaf_count;

/// The leaf columns of a schema, in two parts.
#[derive(Debug)]
pub(super) struct Leaves {
    /// One for each column of the schema.
    nodes: Vec<Node>,
    strings: Vec<ColumnDescPtr>,
    /// For each leaf column, in the order of the file, whether it is one of `strings`.
    is_string: Vec<bool>,
    /// The schema without `strings`: parquet-rs writes it.
    others: SchemaRef,
}

#[derive(Debug)]
enum Node {
    /// Strings, with the definition level of a value.
    Strings(u8),
    /// A struct that has strings somewhere.
    Struct {
        /// The definition level of a null.
        null: u8,
        children: Vec<Node>,
        others: Fields,
    },
    /// Whatever parquet-rs writes as a whole.
    Other,
}

/// What a batch has for each leaf column.
pub(super) struct Split {
    pub(super) strings: Vec<StringLeaf>,
    pub(super) others: Vec<ArrowLeafColumn>,
}

impl Leaves {
    pub(super) fn new(
        schema: &Schema,
        columns: &SchemaDescriptor,
        properties: &WriterProperties,
    ) -> Self {
        let mut finder = Finder {
            properties,
            columns: columns.columns().iter(),
            strings: Vec::new(),
            is_string: Vec::new(),
        };
        let fields = schema.fields().iter();
        let (nodes, others): (Vec<_>, Vec<_>) = fields.map(|field| finder.node(field, 0)).unzip();
        let others: Fields = others.into_iter().flatten().collect();
        Self {
            nodes,
            strings: finder.strings,
            is_string: finder.is_string,
            others: Arc::new(Schema::new(others)),
        }
    }

    pub(super) fn others(&self) -> &SchemaRef {
        &self.others
    }

    pub(super) fn is_string(&self) -> &[bool] {
        &self.is_string
    }

    pub(super) fn string_columns(&self, properties: &WriterProperties) -> Vec<StringColumn> {
        let columns = self.strings.iter();
        columns
            .map(|column| StringColumn::new(column, properties))
            .collect()
    }

    pub(super) fn split(&self, batch: &RecordBatch) -> Result<Split> {
        let mut strings = Vec::with_capacity(self.strings.len());
        let mut others = Vec::with_capacity(self.is_string.len() - self.strings.len());
        let mut fields = self.others.fields().iter();
        for (node, column) in self.nodes.iter().zip(batch.columns()) {
            if let Some(rest) = node.split(column, &mut Vec::new(), &mut strings)?
                && let Some(field) = fields.next()
            {
                others.extend(compute_leaves(field, &rest)?);
            }
        }
        Ok(Split { strings, others })
    }
}

/// Finds the strings of a schema.
struct Finder<'a> {
    properties: &'a WriterProperties,
    columns: Iter<'a, ColumnDescPtr>,
    strings: Vec<ColumnDescPtr>,
    is_string: Vec<bool>,
}

impl Finder<'_> {
    /// The node of a field at definition level `level`, and what of the field is for parquet-rs.
    fn node(&mut self, field: &FieldRef, level: u8) -> (Node, Option<FieldRef>) {
        let inside = level + u8::from(field.is_nullable());
        let as_it_is = || (Node::Other, Some(FieldRef::clone(field)));
        let DataType::Struct(fields) = field.data_type() else {
            let leaves = leaf_count(field.data_type());
            let column = self.columns.next();
            self.columns
                .by_ref()
                .take(leaves.saturating_sub(1))
                .for_each(drop);
            let column =
                column.filter(|column| applies(field.data_type(), column, self.properties));
            let Some(column) = column else {
                self.is_string.extend(std::iter::repeat_n(false, leaves));
                return as_it_is();
            };
            self.is_string.push(true);
            self.strings.push(ColumnDescPtr::clone(column));
            return (Node::Strings(inside), None);
        };
        let before = self.strings.len();
        let fields = fields.iter();
        let (children, others): (Vec<_>, Vec<_>) =
            fields.map(|field| self.node(field, inside)).unzip();
        if self.strings.len() == before {
            return as_it_is();
        }
        let others: Fields = others.into_iter().flatten().collect();
        let rest = Field::new_struct(field.name(), others.clone(), field.is_nullable());
        let rest = (!others.is_empty()).then(|| {
            let rest = rest.with_metadata(field.metadata().clone());
            Arc::new(rest)
        });
        let node = Node::Struct {
            null: inside.saturating_sub(1),
            children,
            others,
        };
        (node, rest)
    }
}

impl Node {
    /// Adds the strings of `column` to `strings`; gives what else it has. `around` are the nulls of
    /// the structs that it is in.
    fn split(
        &self,
        column: &ArrayRef,
        around: &mut Vec<Nulls>,
        strings: &mut Vec<StringLeaf>,
    ) -> Result<Option<ArrayRef>> {
        match self {
            Node::Other => Ok(Some(ArrayRef::clone(column))),
            Node::Strings(most) => {
                let values = column.as_string_view_opt();
                let values = values.ok_or_else(|| other_type(column))?;
                strings.push(StringLeaf::new(values.clone(), around, *most));
                Ok(None)
            }
            Node::Struct {
                null,
                children,
                others,
            } => {
                let array = column.as_struct_opt().ok_or_else(|| other_type(column))?;
                let nulls = array.nulls();
                around.extend(nulls.map(|nulls| Nulls {
                    level: *null,
                    nulls: NullBuffer::clone(nulls),
                }));
                let mut rest = Vec::with_capacity(others.len());
                for (child, column) in children.iter().zip(array.columns()) {
                    rest.extend(child.split(column, around, strings)?);
                }
                if nulls.is_some() {
                    around.pop();
                }
                if others.is_empty() {
                    return Ok(None);
                }
                let (fields, nulls) = (Fields::clone(others), nulls.cloned());
                let rest = StructArray::try_new(fields, rest, nulls)?;
                Ok(Some(Arc::new(rest)))
            }
        }
    }
}

fn other_type(column: &ArrayRef) -> ParquetError {
    let found = column.data_type();
    ParquetError::ArrowError(format!(
        "a column of the schema has the type {found} in a batch"
    ))
}
