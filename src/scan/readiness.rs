//! Decides whether a source is ready for a cycle, from the files of a scan and by its rules.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use datafusion::catalog::Session;
use datafusion::common::Result;
use datafusion::logical_expr::Expr;
use object_store::ObjectStoreExt;

use crate::cycle::Cycle;
use crate::error::Error;
use crate::human;
use crate::listing::cycle_folders::window;
use crate::listing::expand::{NothingThere, TimePruning};
use crate::listing::location::SourceLocation;
use crate::listing::snapshot::SourceFile;
use crate::listing::time_bounds::{DAY, TimeBounds};
use crate::listing::time_folders::TimeFolders;
use crate::scan::ready_rule::{Readiness, ReadyRule, object_path};
use crate::scan::table::SourceTable;
use crate::store::{StoreClock, StoreClocks};

impl SourceTable {
    /// Returns the first rule that does not hold for a cycle, as a reason; `None` if the source is ready.
    /// `files` are those of a scan with `filters`.
    pub(super) async fn unready(
        &self,
        state: &dyn Session,
        files: &[SourceFile],
        filters: &[Expr],
        cycle: Cycle,
    ) -> Result<Option<String>> {
        let Readiness { rules, base } = self.readiness();
        if rules.is_empty() || !self.may_read(filters, cycle) {
            return Ok(None);
        }
        let folders = self.time_folders();
        let own = own_files(files, folders.as_ref(), cycle);
        for rule in rules {
            let reason = match rule {
                ReadyRule::Folders(count) => too_few_folders(&own, *count),
                ReadyRule::Quiet(age) => not_quiet(&own, *age, cycle, self.store_time(state)),
                ReadyRule::NextFolder => {
                    let next = self.next_files(state, filters, folders.as_ref(), cycle);
                    match next.await?.is_empty() {
                        true => Some("no folder of the next day has a file".to_owned()),
                        false => None,
                    }
                }
                ReadyRule::Object(pattern) => {
                    let path = object_path(pattern, cycle);
                    let object = SourceLocation::resolve(&path, base.as_ref())?;
                    match exists(state, &object).await? {
                        true => None,
                        false => Some(format!("`{object}` is not there")),
                    }
                }
            };
            if reason.is_some() {
                return Ok(reason);
            }
        }
        Ok(None)
    }

    /// Lists the files of the day after the cycle.
    async fn next_files(
        &self,
        state: &dyn Session,
        filters: &[Expr],
        folders: Option<&TimeFolders>,
        cycle: Cycle,
    ) -> Result<Vec<SourceFile>> {
        let Some(folders) = folders else {
            return Ok(Vec::new());
        };
        let fields = self.partition_fields();
        let is_of_time = |filter: &&Expr| {
            let columns = filter.column_refs();
            columns.iter().any(|column| {
                let index = fields.iter().position(|field| field.name() == &column.name);
                index.is_some_and(|index| folders.has(index))
            })
        };
        let others: Vec<Expr> = filters
            .iter()
            .filter(|filter| !is_of_time(filter))
            .cloned()
            .collect();
        let end = window(cycle).end;
        let time = TimePruning {
            folders,
            slack: TimeDelta::zero(),
            bounds: TimeBounds::within(end..end + DAY),
        };
        let next = self.list_in(state, &others, Some(time), NothingThere::NoFiles);
        Ok(next.await?.files)
    }

    /// Returns the present time by the clock of the source's store.
    fn store_time(&self, state: &dyn Session) -> DateTime<Utc> {
        match state.config().get_extension::<StoreClocks>() {
            Some(clocks) => clocks.now(self.location().store.as_ref()),
            None => StoreClock::Machine.now(),
        }
    }
}

/// Returns the files in the folders of a cycle: all, if the folders have no time.
fn own_files<'a>(
    files: &'a [SourceFile],
    folders: Option<&TimeFolders>,
    cycle: Cycle,
) -> Vec<&'a SourceFile> {
    let window = window(cycle);
    let is_own = |file: &&SourceFile| {
        let range = folders.and_then(|folders| folders.range(&file.meta.location, &file.partition));
        range.is_none_or(|range| range.start < window.end && window.start < range.end)
    };
    files.iter().filter(is_own).collect()
}

fn too_few_folders(own: &[&SourceFile], expected: u32) -> Option<String> {
    let folders: BTreeSet<&str> = own
        .iter()
        .map(|file| file.meta.location.as_ref())
        .map(|key| key.rsplit_once('/').map_or("", |(folder, _)| folder))
        .collect();
    let count = folders.len() as u64;
    (count < u64::from(expected)).then(|| {
        let has = human::counted(count, "folder");
        format!("{has} of the cycle instead of {expected}")
    })
}

/// A cycle without a file is quiet since its end: its first file may be about to come.
fn not_quiet(
    own: &[&SourceFile],
    age: TimeDelta,
    cycle: Cycle,
    now: DateTime<Utc>,
) -> Option<String> {
    let Some(newest) = own.iter().max_by_key(|file| file.meta.last_modified) else {
        let is = now - cycle.end();
        return (is < age).then(|| {
            format!(
                "no file has come yet, and the cycle is over for {}, less than {}",
                human::age(is),
                human::age(age)
            )
        });
    };
    let is = now - newest.meta.last_modified;
    (is < age).then(|| {
        format!(
            "the newest file, `{}`, is {} old, less than {}",
            newest.meta.location,
            human::age(is),
            human::age(age)
        )
    })
}

async fn exists(state: &dyn Session, object: &SourceLocation) -> Result<bool> {
    let store = state.runtime_env().object_store(&object.store)?;
    match store.head(&object.path).await {
        Ok(_) => Ok(true),
        Err(object_store::Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(Error::store("look for", object, error).into()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::datatypes::{DataType, Field};
    use datafusion::common::ScalarValue;
    use object_store::ObjectMeta;

    use super::*;

    fn file(key: &str, date: &str, hour: i32, minute: i64) -> SourceFile {
        SourceFile {
            meta: ObjectMeta {
                location: key.into(),
                last_modified: DateTime::UNIX_EPOCH + TimeDelta::minutes(minute),
                size: 1,
                e_tag: None,
                version: None,
            },
            partition: vec![ScalarValue::from(date), ScalarValue::from(hour)],
        }
    }

    fn folders() -> TimeFolders {
        let field = |name, data_type| Arc::new(Field::new(name, data_type, false));
        let fields = [
            field("date", DataType::Utf8),
            field("hour", DataType::Int32),
        ];
        TimeFolders::recognise(&fields, None).unwrap()
    }

    #[test]
    fn only_the_folders_of_the_cycle_count() {
        let cycle: Cycle = "2026-01-15".parse().unwrap();
        let files = [
            file("e/d14/h23/a", "2026-01-14", 23, 90),
            file("e/d15/h0/a", "2026-01-15", 0, 10),
            file("e/d15/h0/b", "2026-01-15", 0, 20),
            file("e/d15/h1/a", "2026-01-15", 1, 5),
            file("e/d16/h0/a", "2026-01-16", 0, 99),
        ];
        let own = own_files(&files, Some(&folders()), cycle);
        assert_eq!(own.len(), 3);
        assert_eq!(too_few_folders(&own, 2), None);
        let few = too_few_folders(&own, 24).unwrap();
        assert_eq!(few, "2 folders of the cycle instead of 24");
        let at = |minute| DateTime::UNIX_EPOCH + TimeDelta::minutes(minute);
        let not_quiet = |own: &[&SourceFile], now| {
            let problem = super::not_quiet(own, TimeDelta::minutes(30), cycle, now);
            problem.unwrap_or_default()
        };
        assert_eq!(not_quiet(&own, at(50)), "");
        assert_eq!(
            not_quiet(&own, at(49)),
            "the newest file, `e/d15/h0/b`, is 29 minutes old, less than 30 minutes"
        );
        let after = |minutes| cycle.end() + TimeDelta::minutes(minutes);
        assert_eq!(not_quiet(&[], after(30)), "");
        assert_eq!(
            not_quiet(&[], after(29)),
            "no file has come yet, and the cycle is over for 29 minutes, less than 30 minutes"
        );
        assert_eq!(own_files(&files, None, cycle).len(), 5);
    }
}
