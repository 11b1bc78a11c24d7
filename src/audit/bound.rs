//! Audits that are bound to a cycle of their table, and checked.

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::Query;

use crate::audit::newest::NewestTime;
use crate::audit::query_rule::QueryRule;
use crate::audit::row_rule::RowRule;
use crate::audit::this_table::{RowsInput, ThisTable};
use crate::cycle::Cycle;
use crate::definition::{Audit, AuditRule, Definition, RowCountRule};
use crate::engine::{BoundDefinition, Engine};
use crate::error::{Error, Result};
use crate::row_hash::is_hashable;
use crate::stage::CheckedRows;

/// A definition whose audits are bound.
pub(crate) struct AuditScope<'a> {
    pub engine: &'a Engine,
    pub definition: &'a Definition,
    pub bound: &'a BoundDefinition,
    pub cycle: Cycle,
}

/// The audits of a table, for one cycle.
#[derive(Debug)]
pub(crate) struct BoundAudits {
    pub(super) cycle: Cycle,
    pub(super) audits: Vec<BoundAudit>,
}

/// One audit of a cycle.
#[derive(Debug)]
pub(super) struct BoundAudit {
    pub audit: Audit,
    pub rule: BoundRule,
}

/// The rule of an audit, ready to be evaluated. The columns of a key are those of what a rule returns.
#[derive(Debug)]
pub(super) enum BoundRule {
    Rows {
        rule: RowRule,
        key: Option<Vec<usize>>,
    },
    Distinct {
        values: RowRule,
        /// The columns of the rows that are reported in place of the values.
        key: Option<Vec<usize>>,
    },
    Query {
        rule: QueryRule,
        key: Option<Vec<usize>>,
    },
    Newest {
        time: RowRule,
        max_age: Duration,
    },
    RowCount(RowCountRule),
}

impl BoundAudits {
    /// Binds the audits of a definition to a cycle; `None` if it has none.
    ///
    /// # Errors
    /// [`Error::invalid`] with file and line, for all of them together.
    pub(crate) async fn bind(scope: &AuditScope<'_>) -> Result<Option<Self>> {
        let Some(defined) = &scope.definition.audits else {
            return Ok(None);
        };
        let query = Arc::new(scope.bound.query()?.schema().as_arrow().clone());
        let rows = CheckedRows::new(&scope.bound.spec, &query)?;
        let binder = Binder {
            scope,
            this: Arc::clone(rows.schema()),
            row_key: defined.row_key(),
        };
        let (mut audits, mut complaints) = (Vec::new(), Vec::new());
        for audit in &defined.audits {
            match binder.rule(audit).await {
                Ok(rule) => audits.push(BoundAudit {
                    audit: audit.clone(),
                    rule,
                }),
                Err(complaint) => complaints.push(complaint),
            }
        }
        Error::all(complaints)?;
        Ok(Some(Self {
            cycle: scope.cycle,
            audits,
        }))
    }

    /// Returns the number of earlier cycles whose rows the audits compare with; `None` if they compare with none.
    pub(crate) fn earlier_cycles(&self) -> Option<u32> {
        let cycles = self.audits.iter().filter_map(|audit| match &audit.rule {
            BoundRule::RowCount(rule) => Some(rule.cycles),
            _ => None,
        });
        cycles.max()
    }

    /// Returns the name and the position of each query that returns no row, whatever the rows are.
    pub(crate) fn never_broken(&self) -> impl Iterator<Item = (&str, String)> {
        let queries = self.audits.iter().filter(|bound| {
            let reads_none =
                matches!(&bound.rule, BoundRule::Query { rule, .. } if rule.returns_nothing());
            reads_none && !bound.audit.is_form
        });
        queries.map(|bound| (bound.audit.name.as_str(), bound.audit.position()))
    }

    /// Returns the number of audits.
    pub(crate) fn len(&self) -> usize {
        self.audits.len()
    }
}

/// Binds the audits of one table.
struct Binder<'a> {
    scope: &'a AuditScope<'a>,
    /// The columns of the rows: those of the files, then the partition columns.
    this: SchemaRef,
    row_key: Option<&'a [String]>,
}

impl Binder<'_> {
    async fn rule(&self, audit: &Audit) -> Result<BoundRule> {
        match &audit.rule {
            AuditRule::Query(query) => self.query(audit, query).await,
            AuditRule::Unique { values, .. } => {
                let values = self.expressions(audit, values).await?;
                let wrong = values.schema().fields().iter();
                let mut wrong = wrong.filter(|field| !is_hashable(field.data_type()));
                if let Some(field) = wrong.next() {
                    let data_type = field.data_type();
                    return Err(complaint(
                        audit,
                        format!("values of the type {data_type} cannot be compared"),
                    )
                    .with_hint("cast them, as in `CALL unique(CAST(x AS BIGINT))`"));
                }
                // A key that is not given is what the rule is about.
                let key = match &audit.key {
                    None => None,
                    Some(key) => Some(columns(audit, key, &self.this)?),
                };
                Ok(BoundRule::Distinct { values, key })
            }
            AuditRule::RowCount(rule) => Ok(BoundRule::RowCount(*rule)),
            AuditRule::Freshness {
                time,
                column,
                max_age,
            } => {
                let time = self.expressions(audit, time).await?;
                let data_type = time.schema().field(0).data_type();
                match NewestTime::is_time(data_type) {
                    true => Ok(BoundRule::Newest {
                        time,
                        max_age: *max_age,
                    }),
                    false => Err(complaint(
                        audit,
                        format!("`{column}` is neither a timestamp nor a date"),
                    )),
                }
            }
        }
    }

    async fn query(&self, audit: &Audit, query: &Query) -> Result<BoundRule> {
        let (plan, input) = self.plan(audit, query).await?;
        let state = self.scope.engine.session().state();
        let rejected = |error| audit.sql.rejected(&error);
        if let Some(rule) = RowRule::of(&state, &plan).map_err(rejected)? {
            let key = self.key(audit, rule.schema())?;
            return Ok(BoundRule::Rows { rule, key });
        }
        let rule = QueryRule::of(plan, input).map_err(rejected)?;
        let key = self.key(audit, &rule.schema())?;
        Ok(BoundRule::Query { rule, key })
    }

    /// Returns the values of a query without conditions.
    async fn expressions(&self, audit: &Audit, query: &Query) -> Result<RowRule> {
        let (plan, _) = self.plan(audit, query).await?;
        let state = self.scope.engine.session().state();
        let rule = RowRule::of(&state, &plan).map_err(|error| audit.sql.rejected(&error))?;
        rule.ok_or_else(|| {
            complaint(
                audit,
                "its arguments are not about each row by itself".into(),
            )
        })
    }

    async fn plan(&self, audit: &Audit, query: &Query) -> Result<(LogicalPlan, Arc<RowsInput>)> {
        let input = Arc::new(RowsInput::default());
        let this = Arc::new(ThisTable::new(Arc::clone(&self.this), Arc::clone(&input)));
        let AuditScope { engine, cycle, .. } = self.scope;
        let plan = engine
            .bind_over_rows(&audit.sql, query, this, *cycle)
            .await?;
        Ok((plan, input))
    }

    /// Returns the columns of an audit's key, or of the table's if the audit has none and returns them.
    fn key(&self, audit: &Audit, returned: &Schema) -> Result<Option<Vec<usize>>> {
        match (&audit.key, self.row_key) {
            (Some(key), _) => columns(audit, key, returned).map(Some),
            (None, Some(key)) => Ok(columns(audit, key, returned).ok()),
            (None, None) => Ok(None),
        }
    }
}

/// Returns the columns of a key.
fn columns(audit: &Audit, key: &[String], returned: &Schema) -> Result<Vec<usize>> {
    let index = |name: &String| {
        returned.index_of(name).map_err(|_| {
            let names: Vec<&str> = returned
                .fields()
                .iter()
                .map(|field| field.name().as_str())
                .collect();
            audit
                .complain_of_key(format!(
                    "the key `{name}` is none of the columns that the audit returns"
                ))
                .with_hint(format!("they are {}", names.join(", ")))
        })
    };
    key.iter().map(index).collect()
}

fn complaint(audit: &Audit, what: String) -> Error {
    audit.sql.complaint(audit.sql.first_line(), what)
}
