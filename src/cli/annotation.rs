//! Annotations of GitHub Actions, which show a message at a line of a file:
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>.

use std::fmt;

use crate::visible::visible;

/// One annotation. `Display` writes its line, without a newline.
#[derive(Debug, Clone)]
pub(super) struct Annotation {
    /// `error`, `warning` or `notice`.
    pub(super) level: &'static str,
    pub(super) file: Option<String>,
    /// The line, from 1.
    pub(super) line: usize,
    /// The first column, from 1, and the one after the last.
    pub(super) columns: Option<(usize, usize)>,
    pub(super) title: String,
    /// One or more lines.
    pub(super) message: String,
}

impl fmt::Display for Annotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "::{} ", self.level)?;
        if let Some(file) = &self.file {
            write!(f, "file={},line={},", property(file), self.line)?;
            if let Some((first, end)) = self.columns {
                write!(f, "col={first},endColumn={end},")?;
            }
        }
        let message = visible(&self.message);
        write!(f, "title={}::{}", property(&self.title), data(&message))
    }
}

fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_property_or_the_line_is_escaped() {
        let annotation = Annotation {
            level: "error",
            file: Some("sql/a,b.sql".to_owned()),
            line: 3,
            columns: Some((2, 5)),
            title: "a: b".to_owned(),
            message: "100% wrong\n::error::forged".to_owned(),
        };
        assert_eq!(
            annotation.to_string(),
            "::error file=sql/a%2Cb.sql,line=3,col=2,endColumn=5,title=a%3A b::100%25 wrong%0A::error::forged"
        );
    }
}
