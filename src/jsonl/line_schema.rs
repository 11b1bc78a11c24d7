//! The schema that lines are decoded to, and the leaves of it that are decoded.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;

use crate::arrow_leaves::leaf_ranges;
use crate::jsonl::decode::LineDecoder;
use crate::jsonl::leaf_rule::LeafRules;

/// A schema with a selection of its leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineSchema {
    schema: SchemaRef,
    /// One flag for each leaf of the schema: those that are not set are NULL. `None` selects all.
    leaves: Option<Vec<bool>>,
    /// The declared rules of all leaves of the schema.
    leaf_rules: LeafRules,
}

impl LineSchema {
    /// Projects the columns of a file's schema, given by their indexes.
    ///
    /// `leaves` has one flag for each leaf of `file_schema`; `None` selects all of them. `leaf_rules`
    /// are those of all leaves of `file_schema`.
    pub fn project(
        file_schema: &Schema,
        columns: &[usize],
        leaves: Option<&[bool]>,
        leaf_rules: &LeafRules,
    ) -> Self {
        let all_columns: Vec<_> = leaf_ranges(file_schema.fields(), 0).collect();
        let (mut fields, mut flags, mut projected) = (Vec::new(), Vec::new(), Vec::new());
        for (field, range) in columns.iter().filter_map(|column| all_columns.get(*column)) {
            fields.push(Arc::clone(field));
            let field_flags = leaves.and_then(|leaves| leaves.get(range.clone()));
            flags.extend(field_flags.unwrap_or_default());
            projected.extend(range.clone());
        }
        Self {
            leaf_rules: leaf_rules.select(projected.into_iter()),
            schema: Arc::new(Schema::new(fields)),
            leaves: flags.contains(&false).then_some(flags),
        }
    }

    /// Selects every leaf of `schema`.
    pub fn all(schema: SchemaRef) -> Self {
        Self {
            schema,
            leaves: None,
            leaf_rules: LeafRules::default(),
        }
    }

    /// Returns the schema of the decoded batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Returns one flag for each leaf of the schema, or `None` if all leaves are decoded.
    pub fn leaves(&self) -> Option<&[bool]> {
        self.leaves.as_deref()
    }

    /// Creates a decoder of batches of at most `batch_size` rows.
    ///
    /// # Errors
    /// Returns an error if a type cannot be read from JSON.
    pub fn decoder(&self, batch_size: usize) -> Result<LineDecoder, ArrowError> {
        let schema = Arc::clone(&self.schema);
        LineDecoder::new(schema, batch_size, self.leaves.as_deref(), &self.leaf_rules)
    }
}

/// Shows the number of leaves that are decoded, unless all are.
impl fmt::Display for LineSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(leaves) = &self.leaves else {
            return Ok(());
        };
        let used = leaves.iter().filter(|is_used| **is_used).count();
        write!(f, ", leaves={used} of {}", leaves.len())
    }
}
