//! A column of a file as the declared column: DataFusion's cast, but none that changes a value.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;

use super::open_file::OpenFile;
use super::rule::ColumnRule;

/// Converts a column of a file by its rule, or fails with the file, the row and the column.
#[derive(Debug)]
pub(super) struct CheckedExpr {
    column: Arc<dyn PhysicalExpr>,
    rule: Arc<ColumnRule>,
    file: Arc<OpenFile>,
}

impl CheckedExpr {
    pub(super) fn new(
        column: Arc<dyn PhysicalExpr>,
        rule: Arc<ColumnRule>,
        file: Arc<OpenFile>,
    ) -> Self {
        Self { column, rule, file }
    }
}

impl PartialEq for CheckedExpr {
    fn eq(&self, other: &Self) -> bool {
        self.column.eq(&other.column) && Arc::ptr_eq(&self.rule, &other.rule)
    }
}

impl Eq for CheckedExpr {}

impl Hash for CheckedExpr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.column.hash(state);
    }
}

impl fmt::Display for CheckedExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CHECKED({} AS {})", self.column, self.rule.declared())
    }
}

impl PhysicalExpr for CheckedExpr {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(self.rule.declared().clone())
    }

    fn nullable(&self, input: &Schema) -> Result<bool> {
        self.column.nullable(input)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let column = self.column.evaluate(batch)?.into_array(batch.num_rows())?;
        match self.rule.convert(&column, None)? {
            Ok(converted) => Ok(ColumnarValue::Array(converted)),
            Err(misfit) => Err(self.file.misfit(&misfit)),
        }
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.column]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let (Some(column), true) = (children.pop(), children.is_empty()) else {
            return internal_err!("CheckedExpr has one input");
        };
        let (rule, file) = (Arc::clone(&self.rule), Arc::clone(&self.file));
        Ok(Arc::new(Self::new(column, rule, file)))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.column.fmt_sql(f)
    }
}
