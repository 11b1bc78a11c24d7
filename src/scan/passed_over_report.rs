//! The folders and files that the listing of a source passed over, for reports.

use crate::human;
use crate::manifest::PassedOverRecord;

/// The number of names in a line.
const MAX_SHOWN: usize = 3;

impl PassedOverRecord {
    /// Describes the names in one line.
    pub(crate) fn describe(&self) -> String {
        let shown = self.names.iter().take(MAX_SHOWN);
        let shown: Vec<String> = shown.map(|name| format!("`{name}`")).collect();
        let more = match self.count.saturating_sub(shown.len() as u64) {
            0 => String::new(),
            more => format!(" and {} more", human::count(more)),
        };
        format!(
            "{} passed over, {}{more}",
            human::counted(self.count, "name"),
            shown.join(", ")
        )
    }
}
