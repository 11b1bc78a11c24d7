//! The declared units of numbers in timestamp columns, beside the types of their fields.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};

use crate::arrow_leaves::leaf_ranges;
use crate::jsonl::epoch::{EpochUnit, TimeUnits};

/// The key of the unit in the metadata of a field. The schema with it is used only for parsing: no array
/// has it.
const KEY: &str = "time_unit";

/// Returns the schema whose timestamp fields know the units of their numbers.
pub(crate) fn with_time_units(schema: &SchemaRef, units: &TimeUnits) -> SchemaRef {
    if *units == TimeUnits::default() {
        return SchemaRef::clone(schema);
    }
    Arc::new(Schema::new(annotate_all(schema.fields(), units, 0)))
}

fn annotate_all(fields: &Fields, units: &TimeUnits, first_leaf: usize) -> Fields {
    leaf_ranges(fields, first_leaf)
        .map(|(field, leaves)| annotate(field, units, leaves.start))
        .collect()
}

fn annotate(field: &FieldRef, units: &TimeUnits, leaf: usize) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Struct(fields) => DataType::Struct(annotate_all(fields, units, leaf)),
        DataType::List(element) => DataType::List(annotate(element, units, leaf)),
        DataType::LargeList(element) => DataType::LargeList(annotate(element, units, leaf)),
        _ => {
            let Some(unit) = units.of_leaf(leaf) else {
                return Arc::clone(field);
            };
            let metadata = [(KEY.to_owned(), unit.name().to_owned())];
            return Arc::new(Field::clone(field).with_metadata(metadata.into()));
        }
    };
    Arc::new(Field::clone(field).with_data_type(data_type))
}

/// Returns the declared unit of the numbers of a field.
pub(super) fn declared_unit(field: &Field) -> Option<EpochUnit> {
    EpochUnit::named(field.metadata().get(KEY)?)
}
