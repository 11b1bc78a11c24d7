//! Which leaves of a schema are decoded, or kept of what was decoded for others.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, GenericListArray, OffsetSizeTrait, RecordBatch, RecordBatchOptions,
    StructArray, new_null_array,
};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;

use crate::jsonl::leaves::count_all;
use crate::schema::leaf_count;

/// What is decoded of a field. The rest of it is NULL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    Whole,
    Nothing,
    /// Whether there is an object, and of its members what they say.
    Object(Vec<Wanted>),
    /// How long the list is, and of its elements what they say; never nothing.
    List(Box<Wanted>),
}

impl Wanted {
    /// What is decoded of `schema`: one flag for each of its leaves, depth first.
    ///
    /// A list of other than objects is one leaf with its elements. Of an object without a wanted
    /// leaf nothing is decoded. Fields that must have a value are decoded whether or not they are
    /// wanted.
    ///
    /// # Errors
    /// Where there are not as many flags as leaves.
    pub(crate) fn new(schema: &Schema, leaves: &[bool]) -> Result<Self, ArrowError> {
        let there = count_all(schema.fields());
        if there != leaves.len() {
            return Err(ArrowError::InvalidArgumentError(format!(
                "{} flags for the {there} leaves of a schema",
                leaves.len()
            )));
        }
        Ok(of_fields(
            schema.fields(),
            false,
            &mut leaves.iter().copied(),
        ))
    }

    /// What is decoded of the `n`th member of an object.
    pub(crate) fn member(&self, n: usize) -> &Self {
        match self {
            Self::Object(members) => members.get(n).unwrap_or(&Self::Whole),
            _ => &Self::Whole,
        }
    }

    /// What is decoded of the elements of a list.
    pub(crate) fn elements(&self) -> &Self {
        match self {
            Self::List(elements) => elements,
            _ => &Self::Whole,
        }
    }

    /// `schema` without what is not decoded.
    pub(crate) fn prune(&self, schema: &SchemaRef) -> SchemaRef {
        let fields = self.prune_fields(schema.fields());
        Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
    }

    fn prune_fields(&self, fields: &Fields) -> Fields {
        let kept = fields.iter().enumerate().filter_map(|(n, field)| {
            let wanted = self.member(n);
            (*wanted != Self::Nothing).then(|| wanted.prune_field(field))
        });
        kept.collect()
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

    /// Rows of the schema as rows of the pruned one. No value is copied.
    ///
    /// # Errors
    /// Where `batch` is not of the schema.
    pub(crate) fn prune_rows(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let columns = self.prune_members(batch.columns())?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(self.prune(batch.schema_ref()), columns, &options)
    }

    fn prune_members(&self, columns: &[ArrayRef]) -> Result<Vec<ArrayRef>, ArrowError> {
        let kept = columns.iter().enumerate().filter_map(|(n, column)| {
            let wanted = self.member(n);
            (*wanted != Self::Nothing).then(|| wanted.prune_column(column))
        });
        kept.collect()
    }

    fn prune_column(&self, column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        if *self == Self::Whole {
            return Ok(Arc::clone(column));
        }
        match column.data_type() {
            DataType::Struct(fields) => {
                let objects = column.as_struct();
                let (fields, rows) = (self.prune_fields(fields), objects.len());
                let members = self.prune_members(objects.columns())?;
                let nulls = objects.nulls().cloned();
                let objects = StructArray::try_new_with_length(fields, members, nulls, rows)?;
                Ok(Arc::new(objects))
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
        let wanted = self.elements();
        let elements = wanted.prune_column(lists.values())?;
        let (offsets, nulls) = (lists.offsets().clone(), lists.nulls().cloned());
        let element = wanted.prune_field(element);
        let lists = GenericListArray::try_new(element, offsets, elements, nulls)?;
        Ok(Arc::new(lists))
    }

    /// Rows of the pruned schema as rows of `schema`.
    ///
    /// # Errors
    /// Where `batch` is not of the pruned schema.
    pub(crate) fn restore(
        &self,
        schema: &SchemaRef,
        batch: RecordBatch,
    ) -> Result<RecordBatch, ArrowError> {
        if *self == Self::Whole {
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
        let mut columns = columns.iter();
        let restored = fields.iter().enumerate().map(|(n, field)| {
            let wanted = self.member(n);
            if *wanted == Self::Nothing {
                return Ok(new_null_array(field.data_type(), rows));
            }
            let column = columns.next().ok_or_else(|| {
                ArrowError::SchemaError(format!("no column for `{}`", field.name()))
            })?;
            wanted.restore_column(field.data_type(), column)
        });
        restored.collect()
    }

    fn restore_column(
        &self,
        data_type: &DataType,
        column: &ArrayRef,
    ) -> Result<ArrayRef, ArrowError> {
        if *self == Self::Whole {
            return Ok(Arc::clone(column));
        }
        match data_type {
            DataType::Struct(fields) => {
                let rows = column.len();
                let members = column.as_struct().columns();
                let members = self.restore_members(fields, members, rows)?;
                let nulls = column.nulls().cloned();
                let fields = Fields::clone(fields);
                let objects = StructArray::try_new_with_length(fields, members, nulls, rows)?;
                Ok(Arc::new(objects))
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
        let elements = self.elements();
        let elements = elements.restore_column(element.data_type(), lists.values())?;
        let (offsets, nulls) = (lists.offsets().clone(), lists.nulls().cloned());
        let lists = GenericListArray::try_new(Arc::clone(element), offsets, elements, nulls)?;
        Ok(Arc::new(lists))
    }
}

/// `nullable`: of the object.
fn of_fields(fields: &Fields, nullable: bool, leaves: &mut impl Iterator<Item = bool>) -> Wanted {
    let members = fields.iter();
    let members = members.map(|field| of_type(field.data_type(), field.is_nullable(), leaves));
    let members: Vec<Wanted> = members.collect();
    if members.iter().all(|member| *member == Wanted::Whole) {
        return Wanted::Whole;
    }
    if nullable && members.iter().all(|member| *member == Wanted::Nothing) {
        return Wanted::Nothing;
    }
    Wanted::Object(members)
}

/// `nullable`: of the field, not of its elements.
fn of_type(data_type: &DataType, nullable: bool, leaves: &mut dyn Iterator<Item = bool>) -> Wanted {
    match data_type {
        DataType::Struct(fields) => of_fields(fields, nullable, &mut &mut *leaves),
        DataType::List(element) | DataType::LargeList(element) => {
            match of_type(element.data_type(), nullable, leaves) {
                elements @ (Wanted::Whole | Wanted::Nothing) => elements,
                elements => Wanted::List(Box::new(elements)),
            }
        }
        other => {
            let is_wanted = leaves
                .take(leaf_count(other))
                .fold(false, |any, leaf| any | leaf);
            if is_wanted || !nullable {
                Wanted::Whole
            } else {
                Wanted::Nothing
            }
        }
    }
}
