//! Nested projection: which leaves of a schema are decoded, or kept of what was decoded for others.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, GenericListArray, OffsetSizeTrait, RecordBatch, RecordBatchOptions,
    StructArray, new_null_array,
};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use arrow::error::ArrowError;

use crate::arrow_leaves::{leaf_count, total_leaf_count};

/// A projection of one field: the leaves of it that have values. All others are NULL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeafMask {
    /// The whole field.
    All,
    /// No leaf: the field is NULL.
    None,
    /// The null-ness of the struct, and of each member as much as its own mask says.
    Struct(Vec<LeafMask>),
    /// The lengths of the lists, and of their elements as much as this mask says. It is not
    /// [`LeafMask::None`].
    List(Box<LeafMask>),
}

impl LeafMask {
    /// Creates the mask of the columns of `schema` from one flag for each leaf, depth first.
    ///
    /// A list of anything but structs is one leaf with its elements. A struct without a selected
    /// leaf is not decoded at all. Fields that are not nullable are decoded in any case.
    ///
    /// # Errors
    /// Returns an error if there are not as many flags as leaves.
    pub fn new(schema: &Schema, leaves: &[bool]) -> Result<Self, ArrowError> {
        let leaf_total = total_leaf_count(schema.fields());
        if leaf_total != leaves.len() {
            return Err(ArrowError::InvalidArgumentError(format!(
                "{} flags for the {leaf_total} leaves of a schema",
                leaves.len()
            )));
        }
        Ok(mask_fields(
            schema.fields(),
            false,
            &mut leaves.iter().copied(),
        ))
    }

    /// Returns the mask of a member of the struct, or of a column of the schema, by its index.
    pub(crate) fn member(&self, index: usize) -> &Self {
        match self {
            Self::Struct(members) => members.get(index).unwrap_or(&Self::All),
            _ => &Self::All,
        }
    }

    /// Returns the mask of the elements of the list.
    pub(crate) fn elements(&self) -> &Self {
        match self {
            Self::List(elements) => elements,
            _ => &Self::All,
        }
    }

    /// Returns `schema` without the leaves that are masked out.
    pub fn prune_schema(&self, schema: &SchemaRef) -> SchemaRef {
        let fields = self.prune_fields(schema.fields());
        Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
    }

    fn prune_fields(&self, fields: &Fields) -> Fields {
        let pruned = fields.iter().enumerate().filter_map(|(index, field)| {
            let mask = self.member(index);
            (*mask != Self::None).then(|| mask.prune_field(field))
        });
        pruned.collect()
    }

    fn prune_field(&self, field: &FieldRef) -> FieldRef {
        let data_type = match field.data_type() {
            DataType::Struct(fields) => DataType::Struct(self.prune_fields(fields)),
            DataType::List(element) => DataType::List(self.elements().prune_field(element)),
            DataType::LargeList(element) => {
                DataType::LargeList(self.elements().prune_field(element))
            }
            _ => return Arc::clone(field),
        };
        Arc::new(Field::clone(field).with_data_type(data_type))
    }

    /// Projects a batch of the full schema to the pruned one. No value is copied.
    ///
    /// # Errors
    /// Returns an error if `batch` does not have the full schema.
    pub fn prune(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let columns = self.prune_members(batch.columns())?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(self.prune_schema(batch.schema_ref()), columns, &options)
    }

    fn prune_members(&self, columns: &[ArrayRef]) -> Result<Vec<ArrayRef>, ArrowError> {
        let pruned = columns.iter().enumerate().filter_map(|(index, column)| {
            let mask = self.member(index);
            (*mask != Self::None).then(|| mask.prune_column(column))
        });
        pruned.collect()
    }

    fn prune_column(&self, column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        if *self == Self::All {
            return Ok(Arc::clone(column));
        }
        match column.data_type() {
            DataType::Struct(fields) => {
                let structs = column.as_struct();
                Ok(Arc::new(StructArray::try_new_with_length(
                    self.prune_fields(fields),
                    self.prune_members(structs.columns())?,
                    structs.nulls().cloned(),
                    structs.len(),
                )?))
            }
            DataType::List(element) => self.prune_list(element, column.as_list::<i32>()),
            DataType::LargeList(element) => self.prune_list(element, column.as_list::<i64>()),
            _ => Ok(Arc::clone(column)),
        }
    }

    fn prune_list<O: OffsetSizeTrait>(
        &self,
        element: &FieldRef,
        lists: &GenericListArray<O>,
    ) -> Result<ArrayRef, ArrowError> {
        let mask = self.elements();
        Ok(Arc::new(GenericListArray::try_new(
            mask.prune_field(element),
            lists.offsets().clone(),
            mask.prune_column(lists.values())?,
            lists.nulls().cloned(),
        )?))
    }

    /// Extends a batch of the pruned schema to `schema`, with NULL for the leaves masked out.
    ///
    /// # Errors
    /// Returns an error if `batch` does not have the pruned schema.
    pub fn restore(
        &self,
        schema: &SchemaRef,
        batch: RecordBatch,
    ) -> Result<RecordBatch, ArrowError> {
        if *self == Self::All {
            return Ok(batch);
        }
        let rows = batch.num_rows();
        let columns = self.restore_members(schema.fields(), batch.columns(), rows)?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(SchemaRef::clone(schema), columns, &options)
    }

    fn restore_members(
        &self,
        fields: &Fields,
        columns: &[ArrayRef],
        rows: usize,
    ) -> Result<Vec<ArrayRef>, ArrowError> {
        let mut pruned_columns = columns.iter();
        let restored = fields.iter().enumerate().map(|(index, field)| {
            let mask = self.member(index);
            if *mask == Self::None {
                return Ok(new_null_array(field.data_type(), rows));
            }
            let column = pruned_columns.next().ok_or_else(|| {
                ArrowError::SchemaError(format!("no column for `{}`", field.name()))
            })?;
            mask.restore_column(field.data_type(), column)
        });
        restored.collect()
    }

    fn restore_column(
        &self,
        data_type: &DataType,
        column: &ArrayRef,
    ) -> Result<ArrayRef, ArrowError> {
        if *self == Self::All {
            return Ok(Arc::clone(column));
        }
        match data_type {
            DataType::Struct(fields) => {
                let rows = column.len();
                Ok(Arc::new(StructArray::try_new_with_length(
                    Fields::clone(fields),
                    self.restore_members(fields, column.as_struct().columns(), rows)?,
                    column.nulls().cloned(),
                    rows,
                )?))
            }
            DataType::List(element) => self.restore_list(element, column.as_list::<i32>()),
            DataType::LargeList(element) => self.restore_list(element, column.as_list::<i64>()),
            _ => Ok(Arc::clone(column)),
        }
    }

    fn restore_list<O: OffsetSizeTrait>(
        &self,
        element: &FieldRef,
        lists: &GenericListArray<O>,
    ) -> Result<ArrayRef, ArrowError> {
        let mask = self.elements();
        Ok(Arc::new(GenericListArray::try_new(
            Arc::clone(element),
            lists.offsets().clone(),
            mask.restore_column(element.data_type(), lists.values())?,
            lists.nulls().cloned(),
        )?))
    }
}

/// Takes the flags of all leaves of a struct from `leaves`. `nullable` describes the struct.
fn mask_fields(
    fields: &Fields,
    nullable: bool,
    leaves: &mut impl Iterator<Item = bool>,
) -> LeafMask {
    let masks = fields
        .iter()
        .map(|field| mask_type(field.data_type(), field.is_nullable(), leaves));
    let members: Vec<LeafMask> = masks.collect();
    if members.iter().all(|member| *member == LeafMask::All) {
        return LeafMask::All;
    }
    if nullable && members.iter().all(|member| *member == LeafMask::None) {
        return LeafMask::None;
    }
    LeafMask::Struct(members)
}

/// Takes the flags of all leaves of a type from `leaves`. `nullable` describes the field, not the
/// elements of a list.
fn mask_type(
    data_type: &DataType,
    nullable: bool,
    leaves: &mut dyn Iterator<Item = bool>,
) -> LeafMask {
    match data_type {
        DataType::Struct(fields) => mask_fields(fields, nullable, &mut &mut *leaves),
        DataType::List(element) | DataType::LargeList(element) => {
            match mask_type(element.data_type(), nullable, leaves) {
                elements @ (LeafMask::All | LeafMask::None) => elements,
                elements => LeafMask::List(Box::new(elements)),
            }
        }
        other => {
            let is_selected = leaves
                .take(leaf_count(other))
                .fold(false, |any, leaf| any | leaf);
            if is_selected || !nullable {
                LeafMask::All
            } else {
                LeafMask::None
            }
        }
    }
}
