//! The reasons of rejects, and the values that the rules of types look at.

use crate::jsonl::reason::LineFault;

/// The reason why a line or a value in it is rejected, with the path of the field from the inside out.
#[derive(Debug)]
pub(crate) struct LineReject {
    fields: Vec<String>,
    /// The offset in the line of the innermost value that is rejected.
    value_at: Option<usize>,
    problem: Problem,
}

/// The problem of a line or of one of its fields.
#[derive(Debug)]
pub(super) enum Problem {
    /// The field is required, and has no value.
    Missing,
    /// The line ends too early, whatever field it is in.
    EndOfLine,
    Other(String),
}

impl LineReject {
    pub(super) fn new(problem: impl Into<String>) -> Self {
        Self::of(Problem::Other(problem.into()))
    }

    pub(super) fn of(problem: Problem) -> Self {
        Self {
            fields: Vec::new(),
            value_at: None,
            problem,
        }
    }

    pub(super) fn in_field(mut self, name: &str) -> Self {
        self.fields.push(name.to_owned());
        self
    }

    /// Notes the offset of the value, unless one inside it is noted.
    pub(super) fn at(mut self, offset: usize) -> Self {
        self.value_at = self.value_at.or(Some(offset));
        self
    }

    /// Returns the fault of the line.
    pub(crate) fn fault(&self) -> LineFault {
        let path = self.path();
        let is_of_line = matches!(self.problem, Problem::EndOfLine);
        let has_value = matches!(self.problem, Problem::Other(_));
        LineFault {
            reason: self.reason(),
            field: (!is_of_line && !path.is_empty()).then_some(path),
            value_at: self.value_at.filter(|_| has_value),
        }
    }

    fn path(&self) -> String {
        let names: Vec<&str> = self.fields.iter().rev().map(String::as_str).collect();
        names.join(".")
    }

    /// Formats the reason for the person who has to fix the line.
    pub(crate) fn reason(&self) -> String {
        let path = self.path();
        match &self.problem {
            Problem::Missing => format!("required field `{path}` is missing or null"),
            Problem::EndOfLine => "the JSON object does not end on its line".to_owned(),
            Problem::Other(problem) if path.is_empty() => problem.clone(),
            Problem::Other(problem) => format!("field `{path}`: {problem}"),
        }
    }
}

pub(super) type Strict<T> = Result<T, LineReject>;

/// A number or a string.
#[derive(Debug)]
pub(super) enum Scalar<'a> {
    /// The text of a JSON number.
    Number(&'a str),
    Text(String),
}
