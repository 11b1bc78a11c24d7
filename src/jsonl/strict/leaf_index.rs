//! The leaves that declare a rule, known by their fields.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};

use crate::arrow_leaves::leaf_ranges;
use crate::jsonl::leaf_rule::LeafRules;

/// The key of a leaf's index in the metadata of its field. The schema with it is used only for parsing: no
/// array has it.
const KEY: &str = "leaf";

/// Returns the schema whose fields know the index of their leaf, if it declares a rule.
pub(crate) fn with_leaf_indexes(schema: &SchemaRef, rules: &LeafRules) -> SchemaRef {
    if rules.is_empty() {
        return SchemaRef::clone(schema);
    }
    Arc::new(Schema::new(index_all(schema.fields(), rules, 0)))
}

fn index_all(fields: &Fields, rules: &LeafRules, first_leaf: usize) -> Fields {
    leaf_ranges(fields, first_leaf)
        .map(|(field, leaves)| index(field, rules, leaves.start))
        .collect()
}

fn index(field: &FieldRef, rules: &LeafRules, leaf: usize) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Struct(fields) => DataType::Struct(index_all(fields, rules, leaf)),
        DataType::List(element) => DataType::List(index(element, rules, leaf)),
        DataType::LargeList(element) => DataType::LargeList(index(element, rules, leaf)),
        _ => {
            if rules.of_leaf(leaf).is_empty() {
                return Arc::clone(field);
            }
            let metadata = [(KEY.to_owned(), leaf.to_string())];
            return Arc::new(Field::clone(field).with_metadata(metadata.into()));
        }
    };
    Arc::new(Field::clone(field).with_data_type(data_type))
}

/// Returns the index of the leaf of a field, if it declares a rule.
pub(super) fn leaf_index(field: &Field) -> Option<usize> {
    field.metadata().get(KEY)?.parse().ok()
}
