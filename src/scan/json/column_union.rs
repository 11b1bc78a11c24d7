//! The union of the columns of several scans, which share one decoder.

use datafusion::datasource::table_schema::TableSchema;

use crate::arrow_leaves::{leaf_ranges, total_leaf_count};
use crate::jsonl::LineSchema;
use crate::scan::json::columns::ScanColumns;

/// The columns and leaves that are decoded once for several scans.
pub(crate) struct ColumnUnion {
    pub(crate) decoded: LineSchema,
    /// The part of each scan, in the order of the scans.
    pub(crate) members: Vec<UnionMember>,
}

/// The part of a union that one scan uses.
pub(crate) struct UnionMember {
    /// The index in the union of each decoded column of the scan.
    pub(crate) column_indexes: Vec<usize>,
    /// True if the scan uses everything that is decoded.
    pub(crate) is_whole: bool,
}

impl ColumnUnion {
    /// Creates the union of the columns of `scans`, all over one schema.
    pub(crate) fn new(schema: &TableSchema, scans: &[&ScanColumns]) -> Self {
        let decoded = decoded_union(schema, scans);
        let union_columns = file_column_union(scans);
        let members = scans.iter().map(|scan| {
            let index = |column: &usize| union_columns.partition_point(|other| other < column);
            UnionMember {
                column_indexes: scan.file_columns().iter().map(index).collect(),
                is_whole: decoded_union(schema, &[scan]) == decoded,
            }
        });
        Self {
            members: members.collect(),
            decoded,
        }
    }
}

/// Returns the indexes of the columns of the files that any of `scans` projects, in ascending order.
fn file_column_union(scans: &[&ScanColumns]) -> Vec<usize> {
    let projected = scans.iter().flat_map(|scan| scan.file_columns());
    let mut columns: Vec<usize> = projected.copied().collect();
    columns.sort_unstable();
    columns.dedup();
    columns
}

/// Returns the union of the columns, with each leaf that is used by a scan that projects its column.
fn decoded_union(schema: &TableSchema, scans: &[&ScanColumns]) -> LineSchema {
    let file_schema = schema.file_schema();
    let mut union = vec![false; total_leaf_count(file_schema.fields())];
    for scan in scans {
        for (column, (_, range)) in leaf_ranges(file_schema.fields(), 0).enumerate() {
            if !scan.file_columns().contains(&column) {
                continue;
            }
            let own = scan.leaves().and_then(|leaves| leaves.get(range.clone()));
            let union_leaves = union.get_mut(range).into_iter().flatten();
            for (n, union_leaf) in union_leaves.enumerate() {
                *union_leaf |= own
                    .and_then(|leaves| leaves.get(n))
                    .is_none_or(|is_used| *is_used);
            }
        }
    }
    let leaf_rules = scans
        .first()
        .map(|scan| scan.leaf_rules().clone())
        .unwrap_or_default();
    LineSchema::project(
        file_schema,
        &file_column_union(scans),
        Some(&union),
        &leaf_rules,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jsonl::LeafRules;
    use crate::scan::json::columns::tests::{columns, flags, schema};

    #[test]
    fn a_union_has_each_leaf_that_a_scan_uses_of_its_columns() {
        let schema = schema();
        let url = columns(&[0, 1], "11000");
        let kind = columns(&[1], "10101");
        let union = ColumnUnion::new(&schema, &[&url, &kind]);
        assert_eq!(union.decoded.schema().fields().len(), 2);
        // The second scan flags `a`, but does not project that column.
        assert_eq!(flags(&union.decoded), Some("1110".to_owned()));
        let indexes: Vec<_> = union
            .members
            .iter()
            .map(|member| member.column_indexes.clone())
            .collect();
        assert_eq!(indexes, [vec![0, 1], vec![1]]);
        assert!(union.members.iter().all(|member| !member.is_whole));

        // The same columns, but not the same leaves.
        let other = columns(&[0, 1], "10010");
        let union = ColumnUnion::new(&schema, &[&url, &other]);
        assert_eq!(flags(&union.decoded), Some("1101".to_owned()));
        assert!(union.members.iter().all(|member| !member.is_whole));

        let whole = ScanColumns::new(&schema, &[1, 0], None, &LeafRules::default()).unwrap();
        let union = ColumnUnion::new(&schema, &[&url, &whole]);
        assert_eq!(flags(&union.decoded), None);
        let is_whole: Vec<bool> = union.members.iter().map(|member| member.is_whole).collect();
        assert_eq!(is_whole, [false, true]);

        let alone = ColumnUnion::new(&schema, &[&url]);
        assert_eq!(flags(&alone.decoded), Some("1100".to_owned()));
        assert!(alone.members.iter().all(|member| member.is_whole));
    }
}
