//! The reasons of rejects, and the values that the rules of types look at.

/// The reason why a line or a value in it is rejected, with the path of the field from the inside out.
#[derive(Debug)]
pub(crate) struct LineReject {
    fields: Vec<String>,
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
            problem,
        }
    }

    pub(super) fn in_field(mut self, name: &str) -> Self {
        self.fields.push(name.to_owned());
        self
    }

    /// Formats the reason for the person who has to fix the line.
    pub(crate) fn reason(&self) -> String {
        let names: Vec<&str> = self.fields.iter().rev().map(String::as_str).collect();
        let path = names.join(".");
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
