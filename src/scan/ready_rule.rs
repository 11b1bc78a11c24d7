//! The rules by which a source is ready for a cycle: the option `ready` of its declaration.

use std::fmt;

use chrono::TimeDelta;
use url::Url;

use crate::cycle::Cycle;

/// What to write, for complaints.
pub(crate) const READY_RULES: &str = "'next folder', 'quiet 30 minutes', 'folders 24' or \
     'object events/date={date}/_SUCCESS', or several of them with commas between them";

/// The rules by which a source is ready for a cycle.
#[derive(Debug, Clone, Default)]
pub(crate) struct Readiness {
    /// All of them must hold.
    pub(crate) rules: Vec<ReadyRule>,
    /// The folder that the paths of objects start from.
    pub(crate) base: Option<Url>,
}

/// One rule. A source is ready if all of its rules hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReadyRule {
    /// A folder of the time after the cycle has a file.
    NextFolder,
    /// The newest file of the cycle is at least this old, by the clock of the store.
    Quiet(TimeDelta),
    /// This number of folders of the cycle have a file.
    Folders(u32),
    /// An object exists. Its path below `--from` has placeholders for the day of the cycle.
    Object(String),
}

impl ReadyRule {
    /// Parses rules with commas between them. Returns `None` if one is none of the [`READY_RULES`].
    pub(crate) fn parse_all(text: &str) -> Option<Vec<Self>> {
        text.split(',')
            .map(|rule| Self::parse(rule.trim()))
            .collect()
    }

    fn parse(text: &str) -> Option<Self> {
        let (name, value) = text.split_once(char::is_whitespace)?;
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "next" if value.eq_ignore_ascii_case("folder") => Some(Self::NextFolder),
            "quiet" => {
                let age = duration(value)?;
                (age > TimeDelta::zero()).then_some(Self::Quiet(age))
            }
            "folders" => {
                let count = value.parse().ok()?;
                (count > 0).then_some(Self::Folders(count))
            }
            "object" => is_object(value).then(|| Self::Object(value.to_owned())),
            _ => None,
        }
    }

    /// Returns true if the rule needs folders of times.
    pub(crate) fn needs_time_folders(&self) -> bool {
        matches!(self, Self::NextFolder | Self::Folders(_))
    }
}

/// As it is written in a declaration.
impl fmt::Display for ReadyRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NextFolder => f.write_str("next folder"),
            Self::Quiet(age) => write!(f, "quiet {}", shown(*age)),
            Self::Folders(count) => write!(f, "folders {count}"),
            Self::Object(path) => write!(f, "object {path}"),
        }
    }
}

/// Returns the path of an object for a cycle. `{date}` stands for `2026-01-05`, and `{year}`, `{month}`,
/// `{day}` for `2026`, `01`, `05`.
pub(crate) fn object_path(pattern: &str, cycle: Cycle) -> String {
    let start = cycle.start();
    let part = |format: &str| start.format(format).to_string();
    pattern
        .replace("{date}", &part("%Y-%m-%d"))
        .replace("{year}", &part("%Y"))
        .replace("{month}", &part("%m"))
        .replace("{day}", &part("%d"))
}

/// Returns true if a path is one below a folder, and its placeholders are known.
fn is_object(pattern: &str) -> bool {
    let known = ["{date}", "{year}", "{month}", "{day}"];
    let rest = known
        .iter()
        .fold(pattern.to_owned(), |rest, known| rest.replace(known, ""));
    let is_path = !pattern.starts_with('/')
        && !pattern.ends_with('/')
        && !pattern
            .split('/')
            .any(|part| matches!(part, "" | "." | ".."));
    is_path && !rest.contains(['{', '}']) && !pattern.contains("://")
}

/// Formats a duration in the largest unit that it is a multiple of: `30 minutes`.
fn shown(duration: TimeDelta) -> String {
    let seconds = duration.num_seconds();
    let (unit, length) = [("day", 86_400), ("hour", 3_600), ("minute", 60)]
        .into_iter()
        .find(|(_, length)| seconds % length == 0)
        .unwrap_or(("second", 1));
    let count = seconds / length;
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

/// Parses a duration such as `10 minutes`: a whole number and one of second, minute, hour, day, with
/// or without an `s`.
pub(crate) fn duration(text: &str) -> Option<TimeDelta> {
    let mut words = text.split_whitespace();
    let number = i64::from(words.next()?.parse::<u32>().ok()?);
    let unit = words.next()?.to_ascii_lowercase();
    if words.next().is_some() {
        return None;
    }
    match unit.strip_suffix('s').unwrap_or(&unit) {
        "second" => TimeDelta::try_seconds(number),
        "minute" => TimeDelta::try_minutes(number),
        "hour" => TimeDelta::try_hours(number),
        "day" => TimeDelta::try_days(number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_and_shown_as_they_are_written() {
        let text = "next folder, quiet 30 minutes, folders 24, object events/date={date}/_SUCCESS";
        let rules = ReadyRule::parse_all(text).unwrap();
        let shown: Vec<String> = rules.iter().map(ToString::to_string).collect();
        assert_eq!(shown.join(", "), text);
        for (age, shown) in [
            ("1 day", "1 day"),
            ("90 seconds", "90 seconds"),
            ("120 Minutes", "2 hours"),
        ] {
            let rule = ReadyRule::parse(&format!("QUIET {age}")).unwrap();
            assert_eq!(rule.to_string(), format!("quiet {shown}"));
        }
    }

    #[test]
    fn other_texts_are_no_rules() {
        for text in [
            "",
            "next",
            "next hour",
            "quiet",
            "quiet 0 minutes",
            "quiet 30",
            "folders 0",
            "folders many",
            "object",
            "object /events/_SUCCESS",
            "object events/",
            "object ../_SUCCESS",
            "object s3://bucket/_SUCCESS",
            "object {hour}/_SUCCESS",
            "next folder,",
        ] {
            assert_eq!(ReadyRule::parse_all(text), None, "{text}");
        }
    }

    #[test]
    fn objects_are_of_the_day_of_the_cycle() {
        let cycle = "2026-01-05".parse().unwrap();
        assert_eq!(
            object_path("e/{date}/{year}/{month}/{day}/_SUCCESS", cycle),
            "e/2026-01-05/2026/01/05/_SUCCESS"
        );
    }

    #[test]
    fn durations_have_a_number_and_a_unit() {
        assert_eq!(duration("1 day"), Some(TimeDelta::days(1)));
        assert_eq!(duration("90 Seconds"), Some(TimeDelta::seconds(90)));
        assert_eq!(duration("2 hours"), Some(TimeDelta::hours(2)));
        assert_eq!(duration("2 weeks"), None);
    }
}
