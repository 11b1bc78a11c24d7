//! The rules of audits: a query, or one of the built-in forms.

use std::fmt::Display;
use std::ops::ControlFlow;
use std::time::Duration;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Query,
    Statement as SqlStatement, UnaryOperator, Value, ValueWithSpan, visit_expressions,
};

use crate::error::{Error, Result};
use crate::human;
use crate::sql_file::SqlFile;

/// The built-in forms, with their arguments.
pub(super) const FORMS: [&str; 6] = [
    "not_null(column, …)",
    "unique(column, …)",
    "accepted_values(column, value, …)",
    "range(column, minimum, maximum)",
    "row_count(share, multiple)",
    "freshness(time, INTERVAL '2 hours')",
];

/// The number of published cycles that rows are compared with, if an audit does not say.
const DEFAULT_CYCLES: u32 = 14;

/// The rule of an audit.
#[derive(Debug, Clone)]
pub enum AuditRule {
    /// The query returns no row.
    Query(Box<Query>),
    /// No two rows have the same values. A row with a NULL among them is equal to none.
    Unique {
        /// The query of the values over `this`.
        values: Box<Query>,
        /// The values, if they are plain columns.
        columns: Option<Vec<String>>,
    },
    /// The number of rows is like that of the cycles before.
    RowCount(RowCountRule),
    /// The newest time is not older than this before the end of the cycle.
    Freshness {
        /// The query of the time over `this`.
        time: Box<Query>,
        /// The text of the time.
        column: String,
        /// The maximum age.
        max_age: Duration,
    },
}

/// The bounds of the number of rows, relative to the median of the cycles before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RowCountRule {
    /// The minimum, as a share of the median.
    pub min_share: Option<f64>,
    /// The maximum, as a multiple of the median.
    pub max_multiple: Option<f64>,
    /// The maximum number of published cycles whose median is taken.
    pub cycles: u32,
}

/// Returns the rule of a `CALL`, and the default name of its audit.
pub(super) fn of_call(sql: &SqlFile, call: &Function) -> Result<(AuditRule, String)> {
    let form = call.name.to_string().to_ascii_lowercase();
    let arguments = Arguments::of(sql, &form, call)?;
    let rule = match form.as_str() {
        "not_null" => {
            let columns = arguments.at_least(1)?;
            let conditions: Vec<String> = columns
                .iter()
                .map(|column| Ok(format!("({}) IS NULL", arguments.of_rows(column)?)))
                .collect::<Result<_>>()?;
            arguments.wrong_rows(&conditions.join(" OR "))?
        }
        "unique" => {
            let columns = arguments.at_least(1)?;
            for column in columns {
                arguments.of_rows(column)?;
            }
            AuditRule::Unique {
                values: arguments.query(&format!("SELECT {} FROM this", named(columns)))?,
                columns: columns.iter().map(plain_column).collect(),
            }
        }
        "accepted_values" => match arguments.at_least(2)? {
            [_, values @ ..] if values.iter().any(is_null) => {
                return Err(arguments.wrong("with NULL among the values, it accepts every value"));
            }
            [column, values @ ..] => {
                let column = arguments.of_rows(column)?;
                arguments.wrong_rows(&format!("({column}) NOT IN ({})", joined(values)))?
            }
            [] => return Err(arguments.wrong_number()),
        },
        "range" => match arguments.exactly(3)? {
            [column, minimum, maximum] => {
                let column = arguments.of_rows(column)?;
                if let (Some(low), Some(high)) = (number(minimum), number(maximum))
                    && low > high
                {
                    return Err(arguments.wrong("the minimum is greater than the maximum"));
                }
                let bounds = [("<", minimum), (">", maximum)].into_iter();
                let conditions: Vec<String> = bounds
                    .filter(|(_, bound)| !is_null(bound))
                    .map(|(operator, bound)| format!("({column}) {operator} {bound}"))
                    .collect();
                if conditions.is_empty() {
                    return Err(arguments.wrong("a range has a minimum or a maximum"));
                }
                arguments.wrong_rows(&conditions.join(" OR "))?
            }
            _ => return Err(arguments.wrong_number()),
        },
        "row_count" => match arguments.exactly(2)? {
            [share, multiple] => AuditRule::RowCount(arguments.row_count(share, multiple)?),
            _ => return Err(arguments.wrong_number()),
        },
        "freshness" => match arguments.exactly(2)? {
            [time, age] => AuditRule::Freshness {
                time: arguments
                    .of_rows(time)
                    .and_then(|time| arguments.query(&format!("SELECT {time} FROM this")))?,
                column: time.to_string(),
                max_age: arguments.age(age)?,
            },
            _ => return Err(arguments.wrong_number()),
        },
        _ => {
            let line = sql.first_line();
            return Err(sql
                .complaint(line, format!("`{form}` is no form of an audit"))
                .with_hint(format!("CALL one of {}", FORMS.join(", "))));
        }
    };
    let name = match form.as_str() {
        "row_count" => form,
        "accepted_values" | "range" | "freshness" => {
            format!(
                "{form}({})",
                joined(arguments.given.get(..1).unwrap_or_default())
            )
        }
        _ => format!("{form}({})", joined(&arguments.given)),
    };
    Ok((rule, name))
}

/// The arguments of a form.
struct Arguments<'a> {
    sql: &'a SqlFile,
    form: &'a str,
    given: Vec<Expr>,
    /// The value of `cycles => …`.
    cycles: Option<Expr>,
}

impl<'a> Arguments<'a> {
    fn of(sql: &'a SqlFile, form: &'a str, call: &Function) -> Result<Self> {
        let mut arguments = Self {
            sql,
            form,
            given: Vec::new(),
            cycles: None,
        };
        let is_plain = call.over.is_none()
            && call.filter.is_none()
            && call.null_treatment.is_none()
            && call.within_group.is_empty()
            && matches!(call.parameters, FunctionArguments::None);
        let FunctionArguments::List(list) = &call.args else {
            return Ok(arguments);
        };
        if !is_plain || list.duplicate_treatment.is_some() || !list.clauses.is_empty() {
            return Err(arguments.wrong("it takes arguments alone, no clauses"));
        }
        for argument in &list.args {
            match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) => {
                    arguments.given.push(expression.clone());
                }
                FunctionArg::Named {
                    name,
                    arg: FunctionArgExpr::Expr(expression),
                    ..
                } if form == "row_count" && name.value.eq_ignore_ascii_case("cycles") => {
                    arguments.cycles = Some(expression.clone());
                }
                other => return Err(arguments.wrong(&format!("`{other}` is no argument of it"))),
            }
        }
        Ok(arguments)
    }

    /// Returns an argument that is about the rows: it reads a column.
    fn of_rows<'e>(&self, argument: &'e Expr) -> Result<&'e Expr> {
        let found = visit_expressions(argument, |part| match part {
            Expr::Identifier(_)
            | Expr::CompoundIdentifier(_)
            | Expr::CompoundFieldAccess { .. } => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        });
        match found.is_break() {
            true => Ok(argument),
            false => Err(self.wrong(&format!(
                "`{argument}` reads no column; the name of a column has no single quotes"
            ))),
        }
    }

    fn at_least(&self, count: usize) -> Result<&[Expr]> {
        match self.given.len() < count {
            true => Err(self.wrong_number()),
            false => Ok(&self.given),
        }
    }

    fn exactly(&self, count: usize) -> Result<&[Expr]> {
        match self.given.len() == count {
            true => Ok(&self.given),
            false => Err(self.wrong_number()),
        }
    }

    fn wrong_number(&self) -> Error {
        let count = human::counted(self.given.len() as u64, "argument");
        self.wrong(&format!("{count} given, which are too few or too many"))
    }

    /// The complaint about the call, with its form as the hint.
    fn wrong(&self, what: &str) -> Error {
        let (sql, form) = (self.sql, self.form);
        let complaint = sql.complaint(sql.first_line(), format!("`CALL {form}`: {what}"));
        let shape = FORMS.iter().find(|shape| {
            let rest = shape.strip_prefix(form);
            rest.is_some_and(|rest| rest.starts_with('('))
        });
        match shape {
            Some(shape) => complaint.with_hint(format!("write `CALL {shape};`")),
            None => complaint,
        }
    }

    /// The rule that no row meets a condition.
    fn wrong_rows(&self, condition: &str) -> Result<AuditRule> {
        self.query(&format!("SELECT * FROM this WHERE {condition}"))
            .map(AuditRule::Query)
    }

    /// Parses a query, whose line is that of the call.
    fn query(&self, text: &str) -> Result<Box<Query>> {
        let lines = usize::try_from(self.sql.first_line().saturating_sub(1)).unwrap_or(0);
        let padded = "\n".repeat(lines) + text;
        let file = SqlFile::new(self.sql.name().to_owned(), padded)?;
        match file.statement()? {
            Statement::Statement(statement) => match *statement {
                SqlStatement::Query(query) => Ok(query),
                _ => Err(self.wrong("its arguments are no expressions")),
            },
            _ => Err(self.wrong("its arguments are no expressions")),
        }
    }

    fn row_count(&self, share: &Expr, multiple: &Expr) -> Result<RowCountRule> {
        let bound = |bound: &Expr| match is_null(bound) {
            true => Ok(None),
            false => match number(bound) {
                Some(number) if number >= 0.0 => Ok(Some(number)),
                _ => Err(self.wrong(&format!("`{bound}` is not a number from 0"))),
            },
        };
        let (min_share, max_multiple) = (bound(share)?, bound(multiple)?);
        if let (Some(min), Some(max)) = (min_share, max_multiple)
            && min > max
        {
            return Err(self.wrong("the share is greater than the multiple"));
        }
        if min_share.is_none() && max_multiple.is_none() {
            return Err(self.wrong("it has a share or a multiple"));
        }
        let cycles = match &self.cycles {
            None => DEFAULT_CYCLES,
            Some(given) => match given.to_string().parse() {
                Ok(cycles) if (3..=366).contains(&cycles) => cycles,
                _ => return Err(self.wrong(&format!("`cycles => {given}` is not 3 to 366"))),
            },
        };
        Ok(RowCountRule {
            min_share,
            max_multiple,
            cycles,
        })
    }

    /// Parses an age such as `INTERVAL '2 hours'`.
    fn age(&self, given: &Expr) -> Result<Duration> {
        let text = match given {
            Expr::Interval(interval) => {
                let number = text_of(&interval.value);
                let unit = interval.leading_field.as_ref().map(ToString::to_string);
                number.map(|number| match unit {
                    Some(unit) => format!("{number} {}", unit.to_ascii_lowercase()),
                    None => number,
                })
            }
            other => text_of(other),
        };
        let age = text.and_then(|text| fixed_duration(&text));
        age.ok_or_else(|| self.wrong(&format!("`{given}` is not an interval of a fixed length")))
    }
}

/// The units of intervals that always have the same length.
const UNITS: [&str; 16] = [
    "s", "sec", "second", "seconds", "m", "min", "minute", "minutes", "h", "hour", "hours", "d",
    "day", "days", "week", "weeks",
];

/// Parses an interval of units of a fixed length.
fn fixed_duration(text: &str) -> Option<Duration> {
    let text = text.to_ascii_lowercase();
    let mut units = text
        .split(|c: char| !c.is_ascii_alphabetic())
        .filter(|unit| !unit.is_empty());
    let is_fixed = units.all(|unit| UNITS.contains(&unit));
    is_fixed.then(|| humantime::parse_duration(&text).ok())?
}

/// Returns expressions whose columns are called as they are written.
fn named(expressions: &[Expr]) -> String {
    let named = expressions
        .iter()
        .map(|expression| match plain_column(expression) {
            Some(_) => expression.to_string(),
            None => {
                let text = expression.to_string();
                format!("{text} AS \"{}\"", text.replace('"', "\"\""))
            }
        });
    named.collect::<Vec<_>>().join(", ")
}

fn joined(expressions: &[impl Display]) -> String {
    let texts: Vec<String> = expressions.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

/// Returns the name of a plain column, as the planner reads it.
fn plain_column(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Identifier(name) => Some(match name.quote_style {
            Some(_) => name.value.clone(),
            None => name.value.to_ascii_lowercase(),
        }),
        _ => None,
    }
}

fn is_null(expression: &Expr) -> bool {
    match expression {
        Expr::Value(ValueWithSpan { value, .. }) => *value == Value::Null,
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => is_null(inner),
        _ => false,
    }
}

/// Returns the text of a literal: of a number, or in quotes.
fn text_of(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Value(ValueWithSpan {
            value: Value::SingleQuotedString(text) | Value::Number(text, _),
            ..
        }) => Some(text.to_string()),
        _ => None,
    }
}

fn number(expression: &Expr) -> Option<f64> {
    match expression {
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } => number(expr).map(|number| -number),
        other => text_of(other)?
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite()),
    }
}

#[cfg(test)]
mod tests;
