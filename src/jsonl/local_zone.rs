//! The time zone of texts that have none.

use chrono::{Datelike, FixedOffset, NaiveDateTime, Timelike};
use jiff::civil;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use serde::{Deserialize, Serialize};

use crate::zone_rules::newest_rules;

/// A time zone by its name, or an offset from UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LocalZone {
    name: String,
    zone: TimeZone,
}

/// The reason why a local time is no instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalTimeFault {
    /// Clocks were set back, and show the time twice.
    Twice,
    /// Clocks were set forward, and never show the time.
    Never,
}

impl LocalZone {
    /// Returns the zone of a name such as `Europe/Berlin`, or of an offset such as `+01:00`.
    pub fn named(name: &str) -> Option<Self> {
        let zone = match name {
            "Z" | "z" => TimeZone::UTC,
            name => match offset_seconds(name) {
                Some(seconds) => TimeZone::fixed(Offset::from_seconds(seconds).ok()?),
                None => newest_rules().database.get(name).ok()?,
            },
        };
        Some(Self {
            name: name.to_owned(),
            zone,
        })
    }

    /// Returns the name as it was written.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the time in UTC when clocks of the zone show `local`.
    ///
    /// # Errors
    /// Returns an error if they show it twice or never.
    pub fn utc(&self, local: NaiveDateTime) -> Result<NaiveDateTime, LocalTimeFault> {
        let civil = civil_time(local).ok_or(LocalTimeFault::Never)?;
        match self.zone.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { offset } => {
                let offset = FixedOffset::east_opt(offset.seconds());
                let utc = offset.and_then(|offset| local.checked_sub_offset(offset));
                utc.ok_or(LocalTimeFault::Never)
            }
            AmbiguousOffset::Gap { .. } => Err(LocalTimeFault::Never),
            AmbiguousOffset::Fold { .. } => Err(LocalTimeFault::Twice),
        }
    }

    /// Returns true if clocks of the zone are `seconds` ahead of UTC when they show `local`.
    pub fn has_offset(&self, local: NaiveDateTime, seconds: i32) -> bool {
        let Some(civil) = civil_time(local) else {
            return false;
        };
        match self.zone.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.seconds() == seconds,
            AmbiguousOffset::Fold { before, after } => [before, after]
                .iter()
                .any(|offset| offset.seconds() == seconds),
            AmbiguousOffset::Gap { .. } => false,
        }
    }
}

impl TryFrom<String> for LocalZone {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        Self::named(&name).ok_or_else(|| format!("there is no time zone `{name}`"))
    }
}

impl From<LocalZone> for String {
    fn from(zone: LocalZone) -> Self {
        zone.name
    }
}

fn civil_time(time: NaiveDateTime) -> Option<civil::DateTime> {
    let small = |number: u32| i8::try_from(number).ok();
    civil::DateTime::new(
        i16::try_from(time.year()).ok()?,
        small(time.month())?,
        small(time.day())?,
        small(time.hour())?,
        small(time.minute())?,
        small(time.second())?,
        0,
    )
    .ok()
}

/// Parses an offset `+HH`, `+HHMM` or `+HH:MM`, and returns its seconds.
pub(crate) fn offset_seconds(text: &str) -> Option<i32> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = match text.get(1..)?.as_bytes() {
        [h1, h2] => ([h1, h2], [&b'0', &b'0']),
        [h1, h2, m1, m2] | [h1, h2, b':', m1, m2] => ([h1, h2], [m1, m2]),
        _ => return None,
    };
    let number = |[tens, ones]: [&u8; 2]| {
        let is_number = tens.is_ascii_digit() && ones.is_ascii_digit();
        is_number.then(|| i32::from(tens - b'0') * 10 + i32::from(ones - b'0'))
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> NaiveDateTime {
        text.parse().unwrap()
    }

    #[test]
    fn local_times_are_instants_unless_clocks_show_them_twice_or_never() {
        let berlin = LocalZone::named("Europe/Berlin").unwrap();
        assert_eq!(
            berlin.utc(time("2026-01-15T10:00:00.5")),
            Ok(time("2026-01-15T09:00:00.5"))
        );
        assert_eq!(
            berlin.utc(time("2026-07-15T10:00:00")),
            Ok(time("2026-07-15T08:00:00"))
        );
        let twice = time("2026-10-25T02:30:00");
        assert_eq!(berlin.utc(twice), Err(LocalTimeFault::Twice));
        assert!(berlin.has_offset(twice, 3600) && berlin.has_offset(twice, 7200));
        let never = time("2026-03-29T02:30:00");
        assert_eq!(berlin.utc(never), Err(LocalTimeFault::Never));
        assert!(!berlin.has_offset(never, 3600));
    }

    #[test]
    fn zones_are_names_or_offsets() {
        for name in ["UTC", "Z", "+01:00", "-0730", "+05", "America/Vancouver"] {
            assert_eq!(LocalZone::named(name).unwrap().name(), name);
        }
        for name in [
            "",
            "CEST",
            "Europe/Berln",
            "+24:00",
            "+01:60",
            "+1",
            "01:00",
        ] {
            assert_eq!(LocalZone::named(name), None, "{name}");
        }
    }

    #[test]
    fn zones_keep_their_names_when_serialized() {
        let zone = LocalZone::named("Asia/Kolkata").unwrap();
        let text = serde_json::to_string(&zone).unwrap();
        assert_eq!(text, "\"Asia/Kolkata\"");
        assert_eq!(serde_json::from_str::<LocalZone>(&text).unwrap(), zone);
        assert!(serde_json::from_str::<LocalZone>("\"Nowhere\"").is_err());
    }
}
