//! From decoded columns to those of a scan.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::common::{Result, ScalarValue, internal_err, project_schema};
use datafusion::datasource::table_schema::TableSchema;

use crate::jsonl::decode::LineDecoder;
use crate::jsonl::leaves::{count_all, places};
use crate::jsonl::projection::Wanted;
use crate::schema::leaf_count;

/// Where each column of a scan's output comes from.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    output: SchemaRef,
    /// Over the columns of the files, then those of the folders.
    #[cfg(feature = "cluster")]
    projection: Vec<usize>,
    /// The file's columns that are needed, by their places in the file's schema, in the order of
    /// [`Self::decoded`].
    needed: Vec<usize>,
    /// Which leaves of the file's columns are used; `None` is all of those needed.
    leaves: Option<Vec<bool>>,
    /// What is decoded from the lines.
    decoded: LineSchema,
    origins: Vec<Origin>,
    /// What of the output is used, where that is not all.
    used: Option<Arc<Wanted>>,
}

/// What of a line is decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LineSchema {
    schema: SchemaRef,
    /// One flag for each of its leaves: those that are not decoded are NULL. `None` is all.
    leaves: Option<Vec<bool>>,
}

/// What is decoded for several scans together.
pub(crate) struct Union {
    pub(crate) decoded: LineSchema,
    /// One for each of the scans.
    pub(crate) shares: Vec<Share>,
}

/// What one of the scans has of it.
pub(crate) struct Share {
    /// Where its decoded columns stand among those of all.
    pub(crate) places: Vec<usize>,
    /// Nothing is decoded that it does not need.
    pub(crate) is_all: bool,
}

#[derive(Debug, Clone, Copy)]
enum Origin {
    /// By its place in the decoded batch.
    Line(usize),
    /// By its place among the partition columns.
    Folder(usize),
}

impl Columns {
    /// `projection` is over the columns of the files, then those of the folders; `leaves` has one
    /// flag for each leaf of the files' columns. Leaves that are not used may be NULL.
    ///
    /// # Errors
    /// Where a column does not exist, or there are not as many flags as leaves.
    pub(crate) fn new(
        schema: &TableSchema,
        projection: &[usize],
        leaves: Option<&[bool]>,
    ) -> Result<Self> {
        let output = project_schema(schema.table_schema(), Some(&projection.to_vec()))?;
        let file_fields = schema.file_schema().fields();
        if let Some(leaves) = leaves
            && leaves.len() != count_all(file_fields)
        {
            return internal_err!("{} flags for the leaves of a source", leaves.len());
        }
        let in_files = file_fields.len();
        let (mut needed, mut origins) = (Vec::new(), Vec::new());
        for column in projection {
            if *column < in_files {
                origins.push(Origin::Line(needed.len()));
                needed.push(*column);
            } else {
                origins.push(Origin::Folder(*column - in_files));
            }
        }
        let decoded = LineSchema::new(schema, &needed, leaves);
        let used = match &decoded.leaves {
            Some(leaves) => Some(Arc::new(used(&output, &origins, &decoded.schema, leaves)?)),
            None => None,
        };
        Ok(Self {
            used,
            output,
            #[cfg(feature = "cluster")]
            projection: projection.to_vec(),
            leaves: decoded.leaves.as_ref().and(leaves).map(<[bool]>::to_vec),
            decoded,
            needed,
            origins,
        })
    }

    pub(crate) fn output(&self) -> &SchemaRef {
        &self.output
    }

    #[cfg(feature = "cluster")]
    pub(crate) fn projection(&self) -> &[usize] {
        &self.projection
    }

    /// Which leaves of the files' columns are used; `None` is all of those in the projection.
    #[cfg(any(test, feature = "cluster"))]
    pub(crate) fn leaves(&self) -> Option<&[bool]> {
        self.leaves.as_deref()
    }

    pub(crate) fn decoded(&self) -> &LineSchema {
        &self.decoded
    }

    /// What of the output is used, where that is not all. The rest may have values, where they were
    /// decoded for others.
    pub(crate) fn used(&self) -> Option<Arc<Wanted>> {
        self.used.clone()
    }

    /// What holds all that each of `all` needs.
    pub(crate) fn union(schema: &TableSchema, all: &[&Columns]) -> Union {
        let decoded = decoded_for(schema, all);
        let needed = needed_by(all);
        let shares = all.iter().map(|columns| {
            let place = |column: &usize| needed.partition_point(|other| other < column);
            Share {
                places: columns.needed.iter().map(place).collect(),
                is_all: decoded_for(schema, &[columns]) == decoded,
            }
        });
        Union {
            shares: shares.collect(),
            decoded,
        }
    }

    /// Adds the folder's values to decoded rows.
    pub(crate) fn complete(
        &self,
        decoded: &RecordBatch,
        key: &str,
        folder: &[ScalarValue],
    ) -> Result<RecordBatch> {
        let rows = decoded.num_rows();
        let columns = self.origins.iter().map(|origin| match *origin {
            Origin::Line(column) => Ok(Arc::clone(decoded.column(column))),
            Origin::Folder(column) => match folder.get(column) {
                Some(value) => value.to_array_of_size(rows),
                None => internal_err!("`{key}` has no partition value {column}"),
            },
        });
        let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
        // Without columns, the number of rows is all there is.
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let schema = Arc::clone(&self.output);
        Ok(RecordBatch::try_new_with_options(
            schema, columns, &options,
        )?)
    }
}

impl LineSchema {
    /// Of these columns of the files the leaves that are flagged.
    fn new(schema: &TableSchema, columns: &[usize], leaves: Option<&[bool]>) -> Self {
        let all: Vec<_> = places(schema.file_schema().fields(), 0).collect();
        let columns = columns.iter().filter_map(|column| all.get(*column));
        let (mut fields, mut flags) = (Vec::new(), Vec::new());
        for (field, place) in columns {
            fields.push(Arc::clone(field));
            let of_field = leaves.and_then(|leaves| leaves.get(place.clone()));
            flags.extend(of_field.unwrap_or_default());
        }
        Self {
            schema: Arc::new(Schema::new(fields)),
            leaves: flags.contains(&false).then_some(flags),
        }
    }

    /// All of these columns.
    pub(crate) fn all(schema: SchemaRef) -> Self {
        Self {
            schema,
            leaves: None,
        }
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// # Errors
    /// Where a type cannot be read from JSON.
    pub(crate) fn decoder(&self, batch_size: usize) -> Result<LineDecoder, ArrowError> {
        let schema = Arc::clone(&self.schema);
        LineDecoder::new(schema, batch_size, self.leaves.as_deref())
    }
}

/// How many leaves are decoded, where that is not all.
impl fmt::Display for LineSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(leaves) = &self.leaves else {
            return Ok(());
        };
        let used = leaves.iter().filter(|is_used| **is_used).count();
        write!(f, ", leaves={used} of {}", leaves.len())
    }
}

/// What of `output` is used, by the `leaves` of its columns that are `decoded`.
fn used(
    output: &Schema,
    origins: &[Origin],
    decoded: &Schema,
    leaves: &[bool],
) -> Result<Wanted, ArrowError> {
    let decoded: Vec<_> = places(decoded.fields(), 0).collect();
    let mut flags = Vec::new();
    for (origin, field) in origins.iter().zip(output.fields()) {
        match *origin {
            Origin::Line(column) => {
                let place = decoded.get(column).map(|(_, place)| place.clone());
                flags.extend(
                    place
                        .and_then(|place| leaves.get(place))
                        .unwrap_or_default(),
                );
            }
            Origin::Folder(_) => flags.resize(flags.len() + leaf_count(field.data_type()), true),
        }
    }
    Wanted::new(output, &flags)
}

/// The columns of the files that any of `all` needs, in their order.
fn needed_by(all: &[&Columns]) -> Vec<usize> {
    let needed = all.iter().flat_map(|columns| &columns.needed);
    let mut needed: Vec<usize> = needed.copied().collect();
    needed.sort_unstable();
    needed.dedup();
    needed
}

/// Of each column, the leaves that any of those use that need it.
fn decoded_for(schema: &TableSchema, all: &[&Columns]) -> LineSchema {
    let fields = schema.file_schema().fields();
    let mut leaves = vec![false; count_all(fields)];
    for columns in all {
        for (column, (_, place)) in places(fields, 0).enumerate() {
            if !columns.needed.contains(&column) {
                continue;
            }
            let own = columns
                .leaves
                .as_ref()
                .and_then(|own| own.get(place.clone()));
            let any = leaves.get_mut(place).into_iter().flatten();
            for (n, any) in any.enumerate() {
                *any |= own
                    .and_then(|own| own.get(n))
                    .is_none_or(|is_used| *is_used);
            }
        }
    }
    LineSchema::new(schema, &needed_by(all), Some(&leaves))
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::{DataType, Field, Fields};

    use super::*;

    /// `a`, `p` of `x`, `y` and `q` of `z`, then `b`.
    fn schema() -> TableSchema {
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

    /// `leaves` as text: `1` is used.
    fn columns(projection: &[usize], leaves: &str) -> Columns {
        let leaves: Vec<bool> = leaves.chars().map(|leaf| leaf == '1').collect();
        Columns::new(&schema(), projection, Some(&leaves)).unwrap()
    }

    fn flags(decoded: &LineSchema) -> Option<String> {
        let flags = decoded.leaves.as_ref()?.iter();
        Some(flags.map(|leaf| if *leaf { '1' } else { '0' }).collect())
    }

    #[test]
    fn leaves_of_columns_that_are_not_needed_do_not_count() {
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
        // All of what is needed: none is left out.
        let all = columns(&[1], "01110");
        assert_eq!((flags(all.decoded()), all.leaves()), (None, None));
        assert_eq!(all.decoded().to_string(), "");
        assert!(Columns::new(&schema, &[1], Some(&[true; 4])).is_err());
        assert!(Columns::new(&schema, &[3], None).is_err());
    }

    #[test]
    fn a_union_has_what_any_uses_of_a_column_it_needs() {
        let schema = schema();
        let url = columns(&[0, 1], "11000");
        let kind = columns(&[1], "10101");
        let union = Columns::union(&schema, &[&url, &kind]);
        assert_eq!(union.decoded.schema().fields().len(), 2);
        // The `a` of the second is of no column that it needs.
        assert_eq!(flags(&union.decoded), Some("1110".to_owned()));
        let places: Vec<_> = union
            .shares
            .iter()
            .map(|share| share.places.clone())
            .collect();
        assert_eq!(places, [vec![0, 1], vec![1]]);
        assert!(union.shares.iter().all(|share| !share.is_all));

        // The same columns, but not the same leaves.
        let other = columns(&[0, 1], "10010");
        let union = Columns::union(&schema, &[&url, &other]);
        assert_eq!(flags(&union.decoded), Some("1101".to_owned()));
        assert!(union.shares.iter().all(|share| !share.is_all));

        let whole = Columns::new(&schema, &[1, 0], None).unwrap();
        let union = Columns::union(&schema, &[&url, &whole]);
        assert_eq!(flags(&union.decoded), None);
        let is_all: Vec<bool> = union.shares.iter().map(|share| share.is_all).collect();
        assert_eq!(is_all, [false, true]);

        let alone = Columns::union(&schema, &[&url]);
        assert_eq!(flags(&alone.decoded), Some("1100".to_owned()));
        assert!(alone.shares.iter().all(|share| share.is_all));
    }
}
