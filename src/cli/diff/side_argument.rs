//! The values of `--left` and `--right`.

use crate::error::{Error, Result};

/// A side as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SideArgument {
    /// The definitions of `--sql`.
    Sql,
    /// The definitions of `--sql` in a git revision.
    Git(String),
    /// The published tables of `--to`, for another day than that of `--date` if there is one.
    Published(Option<String>),
    /// The published tables of another destination.
    At(String),
}

impl SideArgument {
    /// Parses the value of `option`.
    pub(super) fn parse(option: &str, text: &str) -> Result<Self> {
        let value = |kind: &str| {
            let rest = text.strip_prefix(kind)?.strip_prefix(':')?;
            Some(rest.to_owned())
        };
        let parsed = match text {
            "sql" => Some(Self::Sql),
            "published" => Some(Self::Published(None)),
            _ => value("git")
                .map(Self::Git)
                .or_else(|| value("published").map(|day| Self::Published(Some(day))))
                .or_else(|| value("at").map(Self::At)),
        };
        let is_empty = match &parsed {
            Some(Self::Git(value) | Self::At(value) | Self::Published(Some(value))) => {
                value.is_empty()
            }
            _ => false,
        };
        parsed.filter(|_| !is_empty).ok_or_else(|| {
            Error::invalid(format!("{option}: `{text}` is no side")).with_hint(
                "a side is `sql`, `git:REVISION`, `published`, `published:DAY` or `at:PATH|URL`",
            )
        })
    }

    pub(super) fn is_defined(&self) -> bool {
        matches!(self, Self::Sql | Self::Git(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_are_words_with_a_value() {
        let side = |text| SideArgument::parse("--left", text);
        assert_eq!(side("sql").unwrap(), SideArgument::Sql);
        assert_eq!(
            side("git:a:b").unwrap(),
            SideArgument::Git("a:b".to_owned())
        );
        assert_eq!(
            side("published:-3d").unwrap(),
            SideArgument::Published(Some("-3d".to_owned()))
        );
        assert_eq!(
            side("at:s3://bucket/x/").unwrap(),
            SideArgument::At("s3://bucket/x/".to_owned())
        );
        for wrong in [
            "",
            "main",
            "git",
            "git:",
            "at:",
            "published:",
            "sql:x",
            "Git:x",
        ] {
            assert!(side(wrong).is_err(), "{wrong}");
        }
    }
}
