//! Shows progress bars on a terminal; hides them if stderr is not one.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use indicatif::{HumanBytes, HumanCount, MultiProgress, ProgressBar, ProgressStyle};
use parking_lot::Mutex;

use tokio::task::JoinHandle;

use crate::cycle::Cycle;
use crate::definition::Definition;
use crate::human;
use crate::run::{ProgressListener, TableReport};
use crate::scan::scan_log::ScanLog;
use crate::stage::StagingSession;

/// The bars of all tables, drawn on stderr; hidden unless that is a terminal.
static SCREEN: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Writes to stderr while the bars are cleared, so that they leave no remains between the lines.
pub(super) fn suspend_bars<T>(write: impl FnOnce() -> T) -> T {
    SCREEN.suspend(write)
}

/// Shows one bar for each table that is being exported.
#[derive(Default)]
pub(super) struct ProgressBars {
    running: Mutex<HashMap<String, TableBar>>,
}

/// The bar of one table, and the task that redraws it.
struct TableBar {
    bar: ProgressBar,
    redraw: JoinHandle<()>,
}

impl ProgressListener for ProgressBars {
    fn staging_started(
        &self,
        definition: &Definition,
        cycle: Cycle,
        stage: Arc<StagingSession>,
        scans: Arc<ScanLog>,
    ) {
        let bar = SCREEN.add(ProgressBar::new(0));
        let style = ProgressStyle::with_template(
            // On a narrow terminal the message at the end is cut off.
            "{spinner} {prefix} {bar:12} {percent:>3}% {eta:>4} left  {wide_msg}",
        );
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.set_prefix(format!("{:<26} {cycle}", definition.table));
        let drawn = bar.clone();
        let redraw = tokio::spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_millis(200));
            loop {
                tick.tick().await;
                let read = scans.progress();
                drawn.set_length(read.bytes);
                drawn.set_position(read.bytes_read);
                let source = format!(
                    "{} of {}",
                    HumanBytes(read.bytes_read),
                    HumanBytes(read.bytes)
                );
                drawn.set_message(format!(
                    "{}, {source}, {}",
                    rate(read.rows_read, drawn.elapsed()),
                    staged(stage.progress().rows(), stage.progress().bytes()),
                ));
            }
        });
        let mut running = self.running.lock();
        let earlier = running.insert(definition.table.to_string(), TableBar { bar, redraw });
        drop(running);
        finish(earlier);
    }

    fn finished(&self, report: &TableReport) {
        let mut running = self.running.lock();
        let ended = running.remove(&report.table);
        drop(running);
        finish(ended);
    }
}

fn rate(rows: u64, elapsed: Duration) -> String {
    let per_second = rows as f64 / elapsed.as_secs_f64().max(0.001);
    format!("{} rows/s", HumanCount(per_second as u64))
}

/// Formats the amount of staged output.
fn staged(rows: u64, bytes: u64) -> String {
    format!(
        "{}, {} staged",
        human::counted(rows, "row"),
        HumanBytes(bytes)
    )
}

fn finish(table: Option<TableBar>) {
    if let Some(TableBar { bar, redraw }) = table {
        redraw.abort();
        bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_per_second() {
        assert_eq!(rate(3_000, Duration::from_secs(2)), "1,500 rows/s");
        assert_eq!(rate(0, Duration::ZERO), "0 rows/s");
        assert_eq!(staged(2_000, 1 << 20), "2,000 rows, 1.00 MiB staged");
    }
}
