//! Splits the leaf columns of a batch into those written by [`StringColumn`] and all others.

use std::iter::Peekable;
use std::slice::Iter;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use parquet::arrow::arrow_writer::{ArrowLeafColumn, compute_leaves};
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::{ColumnDescPtr, SchemaDescriptor};

use crate::codec::parquet::strings::{LevelNulls, StringColumn, StringLeaf, supports};

/// The leaf columns of a schema: strings and all others.
#[derive(Debug)]
pub(super) struct Leaves {
    /// One node for each column of the schema.
    nodes: Vec<LeafNode>,
    strings: Vec<ColumnDescPtr>,
    /// True for each leaf column that is one of `strings`, in the order of the file.
    is_string: Vec<bool>,
    /// The schema without `strings`, which parquet-rs writes.
    others: SchemaRef,
}

/// A column of the schema, or a field of a struct.
#[derive(Debug)]
enum LeafNode {
    /// Strings, with the definition level of a value.
    Strings(u8),
    /// A struct with strings at any depth.
    Struct {
        /// The definition level of a null.
        null_level: u8,
        children: Vec<LeafNode>,
        others: Fields,
    },
    /// A field that parquet-rs writes as a whole.
    Other,
}

/// The leaf columns of a batch.
pub(super) struct SplitLeaves {
    pub(super) strings: Vec<StringLeaf>,
    pub(super) others: Vec<ArrowLeafColumn>,
}

impl Leaves {
    /// Finds the strings of a schema.
    pub(super) fn new(
        schema: &Schema,
        columns: &SchemaDescriptor,
        properties: &WriterProperties,
    ) -> Self {
        let mut finder = Finder {
            properties,
            columns: columns.columns().iter().peekable(),
            path: Vec::new(),
            strings: Vec::new(),
            is_string: Vec::new(),
        };
        let fields = schema.fields().iter();
        let (nodes, others): (Vec<_>, Vec<_>) = fields.map(|field| finder.node(field, 0)).unzip();
        let other_fields: Fields = others.into_iter().flatten().collect();
        Self {
            nodes,
            strings: finder.strings,
            is_string: finder.is_string,
            others: Arc::new(Schema::new(other_fields)),
        }
    }

    /// Returns the schema without the strings.
    pub(super) fn others(&self) -> &SchemaRef {
        &self.others
    }

    /// Returns for each leaf column, in the order of the file, whether it is a column of strings.
    pub(super) fn is_string(&self) -> &[bool] {
        &self.is_string
    }

    /// Opens a column of a row group for each of the strings.
    pub(super) fn string_columns(&self, properties: &WriterProperties) -> Vec<StringColumn> {
        let open = |column| StringColumn::new(column, properties);
        self.strings.iter().map(open).collect()
    }

    /// Splits the leaf columns of a batch.
    ///
    /// # Errors
    /// Fails if the batch does not have the types of the schema.
    pub(super) fn split(&self, batch: &RecordBatch) -> Result<SplitLeaves> {
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
        Ok(SplitLeaves { strings, others })
    }
}

/// Finds the strings of a schema.
struct Finder<'a> {
    properties: &'a WriterProperties,
    /// The leaf columns that are not visited yet.
    columns: Peekable<Iter<'a, ColumnDescPtr>>,
    /// The names of the fields from the root to the one that is visited.
    path: Vec<String>,
    strings: Vec<ColumnDescPtr>,
    is_string: Vec<bool>,
}

impl Finder<'_> {
    /// Returns the node of a field at definition level `level`, and the part of the field that
    /// parquet-rs writes.
    fn node(&mut self, field: &FieldRef, level: u8) -> (LeafNode, Option<FieldRef>) {
        let value_level = level + u8::from(field.is_nullable());
        let whole = || (LeafNode::Other, Some(FieldRef::clone(field)));
        let DataType::Struct(fields) = field.data_type() else {
            self.path.push(field.name().clone());
            let before = self.is_string.len();
            let is_below =
                |path: &[String], column: &ColumnDescPtr| column.path().parts().starts_with(path);
            while let Some(column) = self.columns.next_if(|it| is_below(&self.path, it)) {
                let is_string = supports(field.data_type(), column, self.properties);
                self.is_string.push(is_string);
                self.strings
                    .extend(is_string.then(|| ColumnDescPtr::clone(column)));
            }
            self.path.pop();
            return match self.is_string.get(before..) {
                Some([true]) => (LeafNode::Strings(value_level), None),
                _ => whole(),
            };
        };
        let before = self.strings.len();
        self.path.push(field.name().clone());
        let child_nodes = fields.iter().map(|child| self.node(child, value_level));
        let (children, child_others): (Vec<_>, Vec<_>) = child_nodes.unzip();
        self.path.pop();
        if self.strings.len() == before {
            return whole();
        }
        let others: Fields = child_others.into_iter().flatten().collect();
        let rest = (!others.is_empty()).then(|| {
            let rest = Field::new_struct(field.name(), others.clone(), field.is_nullable());
            Arc::new(rest.with_metadata(field.metadata().clone()))
        });
        let node = LeafNode::Struct {
            null_level: value_level.saturating_sub(1),
            children,
            others,
        };
        (node, rest)
    }
}

impl LeafNode {
    /// Adds the strings of `column` to `strings`; returns the rest of the column. `outer_nulls` are
    /// those of the structs that contain it.
    fn split(
        &self,
        column: &ArrayRef,
        outer_nulls: &mut Vec<LevelNulls>,
        strings: &mut Vec<StringLeaf>,
    ) -> Result<Option<ArrayRef>> {
        match self {
            LeafNode::Other => Ok(Some(ArrayRef::clone(column))),
            LeafNode::Strings(value_level) => {
                let values = column
                    .as_string_view_opt()
                    .ok_or_else(|| type_mismatch(column))?;
                strings.push(StringLeaf::new(values.clone(), outer_nulls, *value_level));
                Ok(None)
            }
            LeafNode::Struct {
                null_level,
                children,
                others,
            } => {
                let array = column
                    .as_struct_opt()
                    .ok_or_else(|| type_mismatch(column))?;
                let nulls = array.nulls();
                outer_nulls.extend(nulls.map(|nulls| LevelNulls {
                    level: *null_level,
                    nulls: NullBuffer::clone(nulls),
                }));
                let mut columns = Vec::with_capacity(others.len());
                for (child, column) in children.iter().zip(array.columns()) {
                    columns.extend(child.split(column, outer_nulls, strings)?);
                }
                if nulls.is_some() {
                    outer_nulls.pop();
                }
                if others.is_empty() {
                    return Ok(None);
                }
                let rest = StructArray::try_new(Fields::clone(others), columns, nulls.cloned())?;
                Ok(Some(Arc::new(rest)))
            }
        }
    }
}

fn type_mismatch(column: &ArrayRef) -> ParquetError {
    let found = column.data_type();
    ParquetError::ArrowError(format!(
        "a column of the schema has the type {found} in a batch"
    ))
}
