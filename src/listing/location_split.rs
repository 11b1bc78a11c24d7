//! A LOCATION, split into the plain folder that it begins with and the pattern below.

use std::fmt::Write;

use percent_encoding::percent_decode_str;

use crate::listing::name_pattern::SPECIAL;
use crate::listing::path_pattern::PathPattern;

/// Splits a LOCATION into the plain folder that it begins with, and the pattern below.
///
/// # Errors
/// The reason why a pattern is wrong.
pub(crate) fn split_location(location: &str) -> Result<(String, Option<PathPattern>), String> {
    let is_url = location.contains("://");
    let root = location.find("://").map_or(0, |scheme| {
        let authority = scheme + 3;
        let rest = location.get(authority..).unwrap_or_default();
        rest.find('/')
            .map_or(location.len(), |slash| authority + slash)
    });
    let (root, path) = location.split_at(root);
    let parts: Vec<&str> = path.split('/').collect();
    let Some(first) = parts.iter().position(|part| is_special(part)) else {
        return Ok((plain(location, is_url), None));
    };
    let (above, below) = parts.split_at(first);
    let mut base = format!("{root}{}", plain(&above.join("/"), is_url));
    base.push_str(if above.is_empty() { "./" } else { "/" });
    let mut pattern = PathPattern::parse(location, below)?;
    if is_url {
        pattern.map_text(|text| percent_decode_str(text).decode_utf8_lossy().into_owned());
    }
    Ok((base, Some(pattern)))
}

/// Returns true if a part of a path has a wildcard or a placeholder.
fn is_special(part: &str) -> bool {
    let mut rest = part.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' if rest.peek().is_some_and(|next| SPECIAL.contains(next)) => {
                rest.next();
            }
            '*' | '?' | '{' | '}' => return true,
            _ => {}
        }
    }
    false
}

/// Removes the backslashes before special characters.
fn plain(text: &str, is_url: bool) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let next = rest
            .peek()
            .filter(|next| c == '\\' && SPECIAL.contains(next));
        match (next.copied(), is_url) {
            (None, _) => plain.push(c),
            (Some(next), is_url) => {
                rest.next();
                match is_url {
                    true => {
                        // Writing to a string does not fail.
                        let _ = write!(plain, "%{:02X}", u32::from(next));
                    }
                    false => plain.push(next),
                }
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};
    use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
    use object_store::path::Path;

    use super::*;

    fn split(location: &str) -> (String, Option<PathPattern>) {
        split_location(location).unwrap()
    }

    /// Returns the pattern of a location with partition columns, and the columns in their order.
    fn bound(location: &str, columns: &[&str]) -> Result<(PathPattern, Vec<String>), String> {
        let (_, pattern) = split_location(location)?;
        let columns: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
        let mut pattern = pattern.ok_or("no pattern")?;
        let ordered = pattern.bind(&columns)?;
        Ok((pattern, ordered))
    }

    #[test]
    fn the_plain_folder_ends_before_the_first_pattern() {
        for (location, base) in [
            ("events/{year}/{month}/", "events/"),
            ("./events/*.json", "./events/"),
            ("*.json", "./"),
            ("/srv/raw/a b/{date}/", "/srv/raw/a b/"),
            ("s3://raw/AWSLogs/*/x/", "s3://raw/AWSLogs/"),
            ("s3://raw/*", "s3://raw/"),
            ("a\\*b/{date}/", "a*b/"),
            ("s3://raw/a\\*/x?/", "s3://raw/a%2A/"),
        ] {
            let (found, pattern) = split(location);
            assert_eq!(found, base);
            assert!(pattern.is_some(), "{location}");
        }
        for (location, plain) in [
            ("events/", "events/"),
            ("events/a.json", "events/a.json"),
            ("s3://raw/[a]/date=x/", "s3://raw/[a]/date=x/"),
            ("e\\{x\\}/", "e{x}/"),
            ("s3://raw/\\?/", "s3://raw/%3F/"),
        ] {
            assert_eq!(split(location), (plain.to_owned(), None));
        }
    }

    #[test]
    fn columns_are_in_the_order_of_the_path() {
        let ordered = |location, columns: &[&str]| bound(location, columns).unwrap().1;
        let columns = ["date", "region", "account", "name"];
        assert_eq!(
            ordered("AWSLogs/{account}/{Region}/{name}.json", &columns),
            ["account", "region", "date", "name"]
        );
        assert_eq!(ordered("{year}/{month}/{day}/", &[]), [""; 0]);
        assert_eq!(
            ordered("{year}/{month}/{year}-{month}-{day}/", &["day", "year"]),
            ["year", "day"]
        );
        for (location, columns, reason) in [
            ("x/{account}/", &[][..], "no column of PARTITIONED BY"),
            ("x/{month}/", &[], "{month} without {year}"),
            ("x/{year}/{hour}/", &[], "{hour} without {day} or {date}"),
            ("x/{date}/**/", &["org"], "no folders of `org` can follow"),
            (
                "x/{year}/{month}/{day}/",
                &["date"],
                "has this time already",
            ),
            ("x/{date}/", &["year"], "has this time already"),
            ("x/**/{date}/", &[], "only the files can follow"),
            (
                "x/{year}/{month}",
                &[],
                "end it with `{month}/` if these are folders",
            ),
            ("x/{date}//", &[], "a part `` between its slashes"),
            ("x/{date}/../", &[], "a part `..` between"),
        ] {
            let error = bound(location, columns).unwrap_err();
            assert!(error.contains(reason), "{location}: {error}");
        }
    }

    #[test]
    fn a_file_has_the_time_of_the_names_on_its_path() {
        let start = |location: &str, columns: &[&str], key: &str| {
            let pattern = bound(location, columns).unwrap().0.below(1);
            let start = pattern.range(&Path::parse(key).unwrap())?.start / 1_000_000_000;
            let time = DateTime::UNIX_EPOCH + TimeDelta::seconds(i64::try_from(start).unwrap());
            Some(time.format("%F %H:%M").to_string())
        };
        for (location, columns, key, time) in [
            (
                "e/{year}/{month}/{day}/{hour}/",
                &[][..],
                "e/2026/01/15/3/a",
                "2026-01-15 03:00",
            ),
            (
                "e/dt={date}-{hour}/*.json",
                &[],
                "e/dt=20260115-03/a.json",
                "2026-01-15 03:00",
            ),
            (
                "e/*/{date}/**/",
                &[],
                "e/x/2026-01-15/a/b/c.json",
                "2026-01-15 00:00",
            ),
            (
                "e/*_{date}.json",
                &[],
                "e/x_2026-01-15.json",
                "2026-01-15 00:00",
            ),
            (
                "e/{date}/",
                &["hour"],
                "e/2026-01-15/Hour=03/a",
                "2026-01-15 03:00",
            ),
            (
                "e/*/",
                &["date"],
                "e/x/date=2026-01-15/a",
                "2026-01-15 00:00",
            ),
            ("e/*/", &["day"], "e/x/day=2026-01-15/a", "2026-01-15 00:00"),
            (
                "e/{year}/",
                &["day", "month"],
                "e/2026/day=5/month=2/a",
                "2026-02-05 00:00",
            ),
        ] {
            assert_eq!(
                start(location, columns, key).as_deref(),
                Some(time),
                "{location}"
            );
        }
        assert_eq!(
            start("e/{year}/{month}/{day}/", &[], "e/2026/02/31/a"),
            None
        );
        assert_eq!(start("e/*/", &["date"], "e/x/date=none/a"), None);
    }

    #[test]
    fn expected_folders_have_what_is_known() {
        let cycle = "2026-01-15".parse().unwrap();
        let expected = |location: &str, columns: &[&str]| {
            let pattern = bound(location, columns).unwrap().0;
            let expected = pattern.expected(Some(cycle), |column| {
                (column == 0 && !columns.is_empty()).then(|| "a".to_owned())
            });
            (expected.path, expected.is_file)
        };
        let folder = |path: &str| (path.to_owned(), false);
        assert_eq!(
            expected("e/{year}/{month}/{day}/{hour}/", &[]),
            folder("2026/01/15")
        );
        assert_eq!(
            expected("e/dt={year}{month}{day}-{hour}/", &[]),
            folder("dt=20260115-*")
        );
        assert_eq!(
            expected("e/*/CT/{date}/**/", &[]),
            folder("*/CT/2026-01-15")
        );
        assert_eq!(
            expected("e/{org}/{date}/", &["org", "hour"]),
            folder("a/2026-01-15")
        );
        assert_eq!(expected("e/*/*.json", &[]), folder(""));
        assert_eq!(
            expected("e/x_{date}.json", &[]),
            ("x_2026-01-15.json".to_owned(), true)
        );
    }

    #[test]
    fn a_column_that_occurs_twice_has_one_value() {
        let field: FieldRef = std::sync::Arc::new(Field::new("org", DataType::Utf8, true));
        let pattern = bound("e/{org}/{org}-{date}/", &["org"]).unwrap().0;
        let fields = [field];
        let known = pattern
            .folder(0, "a", &Default::default(), &fields)
            .unwrap();
        assert!(pattern.folder(1, "a-2026-01-15", &known, &fields).is_some());
        assert!(pattern.folder(1, "b-2026-01-15", &known, &fields).is_none());
        assert!(pattern.folder(1, "a-2026-02-31", &known, &fields).is_none());
    }
}
