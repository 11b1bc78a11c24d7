//! The columns of a scan: from decoded batches to those that the scan returns.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::common::{Result, ScalarValue, internal_err, project_schema};
use datafusion::datasource::table_schema::TableSchema;

use crate::arrow_leaves::{leaf_count, leaf_ranges, total_leaf_count};
use crate::jsonl::{LeafMask, LeafRules, LineSchema};

/// The projection of a scan: the columns that are decoded, and the origin of each output column.
#[derive(Debug, Clone)]
pub(crate) struct ScanColumns {
    output: SchemaRef,
    /// The indexes over the columns of the files, then the partition columns.
    #[cfg(feature = "cluster")]
    projection: Vec<usize>,
    /// The indexes of the projected columns of the files, in the order of [`Self::decoded`].
    file_columns: Vec<usize>,
    /// One flag for each leaf of the files' columns that is set if the leaf is used. `None` uses
    /// all leaves of the projected columns.
    leaves: Option<Vec<bool>>,
    /// The declared rules of the leaves of all columns of the files.
    leaf_rules: LeafRules,
    /// The part of the lines that is decoded.
    decoded: LineSchema,
    origins: Vec<ColumnOrigin>,
    /// The leaves of the output that are used, unless all are.
    output_mask: Option<Arc<LeafMask>>,
}

#[derive(Debug, Clone, Copy)]
enum ColumnOrigin {
    /// The column of the decoded batch with this index.
    Line(usize),
    /// The partition column with this index.
    Partition(usize),
}

impl ScanColumns {
    /// Creates the columns of a scan.
    ///
    /// `projection` indexes the columns of the files, then the partition columns. `leaves` has one
    /// flag for each leaf of the files' columns; leaves that are not used may be NULL. `leaf_rules` are
    /// those of the leaves of the files' columns.
    ///
    /// # Errors
    /// Returns an error if a column does not exist, or if there are not as many flags as leaves.
    pub(crate) fn new(
        schema: &TableSchema,
        projection: &[usize],
        leaves: Option<&[bool]>,
        leaf_rules: &LeafRules,
    ) -> Result<Self> {
        let output = project_schema(schema.table_schema(), Some(&projection.to_vec()))?;
        let file_fields = schema.file_schema().fields();
        if let Some(leaves) = leaves
            && leaves.len() != total_leaf_count(file_fields)
        {
            return internal_err!("{} flags for the leaves of a source", leaves.len());
        }
        let file_column_count = file_fields.len();
        let (mut file_columns, mut origins) = (Vec::new(), Vec::new());
        for column in projection {
            if *column < file_column_count {
                origins.push(ColumnOrigin::Line(file_columns.len()));
                file_columns.push(*column);
            } else {
                origins.push(ColumnOrigin::Partition(*column - file_column_count));
            }
        }
        let decoded = LineSchema::project(schema.file_schema(), &file_columns, leaves, leaf_rules);
        let output_mask = match decoded.leaves() {
            Some(leaves) => Some(Arc::new(output_mask(
                &output,
                &origins,
                decoded.schema(),
                leaves,
            )?)),
            None => None,
        };
        Ok(Self {
            output_mask,
            output,
            #[cfg(feature = "cluster")]
            projection: projection.to_vec(),
            leaves: decoded.leaves().and(leaves).map(<[bool]>::to_vec),
            leaf_rules: leaf_rules.clone(),
            decoded,
            file_columns,
            origins,
        })
    }

    /// Returns the schema of the output.
    pub(crate) fn output(&self) -> &SchemaRef {
        &self.output
    }

    /// Returns the indexes of the output columns over the columns of the files, then the partition
    /// columns.
    #[cfg(feature = "cluster")]
    pub(crate) fn projection(&self) -> &[usize] {
        &self.projection
    }

    /// Returns the indexes of the projected columns of the files.
    pub(crate) fn file_columns(&self) -> &[usize] {
        &self.file_columns
    }

    /// Returns one flag for each leaf of the files' columns, or `None` if all leaves of the
    /// projected columns are used.
    pub(crate) fn leaves(&self) -> Option<&[bool]> {
        self.leaves.as_deref()
    }

    /// Returns the declared rules of the leaves of all columns of the files.
    pub(crate) fn leaf_rules(&self) -> &LeafRules {
        &self.leaf_rules
    }

    /// Returns the part of the lines that is decoded.
    pub(crate) fn decoded(&self) -> &LineSchema {
        &self.decoded
    }

    /// Returns the leaves of the output that are used, or `None` if all are.
    ///
    /// Other leaves have values where they were decoded for another scan.
    pub(crate) fn output_mask(&self) -> Option<Arc<LeafMask>> {
        self.output_mask.clone()
    }

    /// Completes decoded rows with the values of the partition columns.
    ///
    /// # Errors
    /// Returns an error if the file `key` has no value for a partition column.
    pub(crate) fn complete(
        &self,
        decoded: &RecordBatch,
        key: &str,
        partition: &[ScalarValue],
    ) -> Result<RecordBatch> {
        let rows = decoded.num_rows();
        let columns = self.origins.iter().map(|origin| match *origin {
            ColumnOrigin::Line(column) => Ok(Arc::clone(decoded.column(column))),
            ColumnOrigin::Partition(column) => match partition.get(column) {
                Some(value) => value.to_array_of_size(rows),
                None => internal_err!("`{key}` has no partition value {column}"),
            },
        });
        // A batch without columns has nothing but its row count.
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(
            Arc::clone(&self.output),
            columns.collect::<Result<Vec<ArrayRef>>>()?,
            &options,
        )?)
    }
}

/// Returns the mask of `output` from the flags of the leaves of the `decoded` columns. Partition
/// columns are always used.
fn output_mask(
    output: &Schema,
    origins: &[ColumnOrigin],
    decoded: &Schema,
    leaves: &[bool],
) -> Result<LeafMask, ArrowError> {
    let decoded_columns: Vec<_> = leaf_ranges(decoded.fields(), 0).collect();
    let mut flags = Vec::new();
    for (origin, field) in origins.iter().zip(output.fields()) {
        match *origin {
            ColumnOrigin::Line(column) => {
                let range = decoded_columns.get(column).map(|(_, range)| range.clone());
                let column_flags = range.and_then(|range| leaves.get(range));
                flags.extend(column_flags.unwrap_or_default());
            }
            ColumnOrigin::Partition(_) => {
                flags.resize(flags.len() + leaf_count(field.data_type()), true);
            }
        }
    }
    LeafMask::new(output, &flags)
}

#[cfg(test)]
pub(crate) mod tests {
    use datafusion::arrow::datatypes::{DataType, Field, Fields};

    use super::*;

    /// Returns a schema of `a`, of `p` with `x`, `y` and `q` with `z`, and of `b`.
    pub(crate) fn schema() -> TableSchema {
        let number = |name: &str| Field::new(name, DataType::Int64, true);
        let object = |name: &str, members: Vec<Field>| {
            Field::new(name, DataType::Struct(Fields::from(members)), true)
        };
        let p = object(
            "p",
            vec![number("x"), number("y"), object("q", vec![number("z")])],
        );
        let fields = vec![number("a"), p, number("b")];
        TableSchema::builder(Arc::new(Schema::new(fields))).build()
    }

    /// Returns the columns of a scan. In `leaves`, `1` is a leaf that is used.
    pub(crate) fn columns(projection: &[usize], leaves: &str) -> ScanColumns {
        let leaves: Vec<bool> = leaves.chars().map(|leaf| leaf == '1').collect();
        ScanColumns::new(&schema(), projection, Some(&leaves), &LeafRules::default()).unwrap()
    }

    pub(crate) fn flags(decoded: &LineSchema) -> Option<String> {
        let flags = decoded.leaves()?.iter();
        Some(flags.map(|leaf| if *leaf { '1' } else { '0' }).collect())
    }

    #[test]
    fn leaves_of_columns_that_are_not_projected_do_not_count() {
        let schema = schema();
        assert_eq!(
            flags(columns(&[1], "00101").decoded()),
            Some("010".to_owned())
        );
        assert_eq!(
            columns(&[1], "00101").decoded().to_string(),
            ", leaves=1 of 3"
        );
        assert_eq!(
            flags(columns(&[2, 1], "01011").decoded()),
            Some("1101".to_owned())
        );
        // All leaves of the projected column: there is nothing to mask.
        let all = columns(&[1], "01110");
        assert_eq!((flags(all.decoded()), all.leaves()), (None, None));
        assert_eq!(all.decoded().to_string(), "");
        assert!(ScanColumns::new(&schema, &[1], Some(&[true; 4]), &LeafRules::default()).is_err());
        assert!(ScanColumns::new(&schema, &[3], None, &LeafRules::default()).is_err());
    }
}
