//! Time zones whose rules have changed since those that are compiled into arrow.
//!
//! arrow takes rules from chrono-tz, whose data cannot be replaced. They are compared with newer ones:
//! those of the system, or those that jiff brings. Zones that differ are refused.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Offset, TimeDelta, TimeZone as _, Utc};
use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::DataFusionError;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{ExprSchemable, LogicalPlan};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::refusal::expressions::is_utc;
use crate::refusal::schema::input_schema;
use crate::sql_file::SqlFile;
use crate::zone_rules::newest_rules;

/// The first instant for which rules are compared: 2000-01-01, in seconds since 1970.
const COMPARED_SINCE: i64 = 946_684_800;

/// Refuses the time zones of a plan that are unknown, or whose rules are outdated before `end`.
///
/// # Errors
/// [`Error::invalid`] with file and line, and what to write instead.
pub(crate) fn refuse_outdated_zones(
    sql: &SqlFile,
    plan: &LogicalPlan,
    end: DateTime<Utc>,
) -> Result<()> {
    let zones = zones_of(plan).map_err(|error| sql.rejected(&error))?;
    let complaints = zones.iter().filter_map(|zone| {
        let error = refusal(zone, end)?;
        let line = sql.find_line_of(zone).unwrap_or_else(|| sql.first_line());
        Some(error.context(sql.position(line)))
    });
    Error::all(complaints.collect())
}

fn refusal(zone: &str, end: DateTime<Utc>) -> Option<Error> {
    if is_utc(zone) {
        return None;
    }
    let Ok(compiled) = zone.parse::<Tz>() else {
        let error = Error::invalid(format!("there is no time zone `{zone}`"));
        return Some(
            error.with_hint("write a name such as 'Europe/Berlin', or an offset such as '+01:00'"),
        );
    };
    let since = differs_since(zone, compiled).filter(|since| *since < end)?;
    let error = Error::invalid(format!(
        "the rules of the time zone `{zone}` are outdated: its offset has been another one since {} by \
         tzdata {}, and DataFusion has {}",
        since.format("%Y-%m-%d"),
        newest_rules().version,
        chrono_tz::IANA_TZDB_VERSION,
    ));
    Some(error.with_hint(
        "export the time in UTC and let the receiver convert it, or write an offset such as '-07:00'",
    ))
}

/// Returns the zones of all types in a plan.
fn zones_of(plan: &LogicalPlan) -> Result<BTreeSet<Arc<str>>, DataFusionError> {
    let mut zones = BTreeSet::new();
    plan.apply_with_subqueries(|node| {
        let schema = input_schema(node)?;
        for field in node.schema().fields() {
            add_zones(field.data_type(), &mut zones);
        }
        node.apply_expressions(|expression| {
            expression.apply(|expression| {
                if let Ok(data_type) = expression.get_type(&schema) {
                    add_zones(&data_type, &mut zones);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(zones)
}

fn add_zones(data_type: &DataType, zones: &mut BTreeSet<Arc<str>>) {
    match data_type {
        DataType::Timestamp(_, Some(zone)) => {
            zones.insert(Arc::clone(zone));
        }
        DataType::Struct(fields) => {
            for field in fields {
                add_zones(field.data_type(), zones);
            }
        }
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => add_zones(item.data_type(), zones),
        _ => {}
    }
}

/// Returns the day since which a zone has other offsets than `compiled` says.
fn differs_since(zone: &str, compiled: Tz) -> Option<DateTime<Utc>> {
    static COMPARED: Mutex<BTreeMap<String, Option<DateTime<Utc>>>> = Mutex::new(BTreeMap::new());
    let rules = newest_rules();
    // An offset such as `+01:00` has no rules.
    let current = rules.database.get(zone).ok()?;
    if rules.version.as_str() <= chrono_tz::IANA_TZDB_VERSION {
        return None;
    }
    *COMPARED
        .lock()
        .entry(zone.to_owned())
        .or_insert_with(|| first_difference(&current, compiled))
}

/// Returns the first day from 2000 to 2100 on which two zones have different offsets.
///
/// Offsets change at most once a day. A change on another hour of the same day is seen at the instants
/// of the changes themselves.
fn first_difference(current: &TimeZone, compiled: Tz) -> Option<DateTime<Utc>> {
    let start = DateTime::from_timestamp(COMPARED_SINCE, 0)?;
    let differs = |instant: &DateTime<Utc>| {
        let naive = instant.naive_utc();
        let compiled = compiled.offset_from_utc_datetime(&naive).fix();
        Timestamp::from_second(instant.timestamp())
            .is_ok_and(|instant| current.to_offset(instant).seconds() != compiled.local_minus_utc())
    };
    let mut days = (0..365 * 100).map(|day| start + TimeDelta::days(day));
    let by_day = days.find(differs);
    let first = Timestamp::from_second(COMPARED_SINCE).ok()?;
    let last = by_day.unwrap_or(start + TimeDelta::days(365 * 100));
    let by_change = current
        .following(first)
        .filter_map(|change| DateTime::from_timestamp(change.timestamp().as_second(), 0))
        .take_while(|change| *change <= last)
        .flat_map(|change| [change - TimeDelta::seconds(1), change])
        .find(differs);
    by_change.or(by_day)
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZoneDatabase;

    use super::*;

    fn bundled(zone: &str) -> TimeZone {
        TimeZoneDatabase::bundled().get(zone).unwrap()
    }

    #[test]
    fn the_same_rules_have_no_difference() {
        for zone in ["Europe/Berlin", "America/New_York", "Asia/Kolkata"] {
            assert_eq!(
                first_difference(&bundled(zone), zone.parse().unwrap()),
                None,
                "{zone}"
            );
        }
    }

    #[test]
    fn other_rules_differ_from_the_instant_of_the_change() {
        // Both zones had the same time until Moscow left it in 2014.
        let difference =
            first_difference(&bundled("Europe/Minsk"), "Europe/Moscow".parse().unwrap());
        let day = difference.map(|since| since.format("%Y-%m-%d").to_string());
        assert_ne!(day, None);
    }
}
