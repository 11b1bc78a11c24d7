//! Progress bars on a terminal, nothing elsewhere.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{HumanBytes, HumanCount, MultiProgress, ProgressBar, ProgressStyle};

use crate::cycle::Cycle;
use crate::definition::Definition;
use crate::run::{TableReport, Watch};
use crate::source::ScanLog;
use crate::stage::Stage;

/// One bar for each table at work.
pub struct Bars {
    bars: MultiProgress,
    running: Mutex<HashMap<String, (ProgressBar, tokio::task::JoinHandle<()>)>>,
}

impl Bars {
    /// Draws on stderr; hidden unless that is a terminal.
    pub fn new() -> Self {
        Self {
            bars: MultiProgress::new(),
            running: Mutex::default(),
        }
    }
}

impl Watch for Bars {
    fn staging(
        &self,
        definition: &Definition,
        cycle: Cycle,
        stage: Arc<Stage>,
        scans: Arc<ScanLog>,
    ) {
        let bar = self.bars.add(ProgressBar::new(0));
        let style = ProgressStyle::with_template(
            "{spinner} {prefix} {bar:20} {bytes} of {total_bytes}, {eta} left, {msg}",
        );
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.set_prefix(format!("{:<26} {cycle}", definition.table));
        let drawn = bar.clone();
        let task = tokio::spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_millis(200));
            loop {
                tick.tick().await;
                let read = scans.progress();
                drawn.set_length(read.bytes);
                drawn.set_position(read.bytes_read);
                drawn.set_message(rates(
                    read.rows_read,
                    stage.progress().rows(),
                    stage.progress().bytes(),
                    drawn.elapsed(),
                ));
            }
        });
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let earlier = running.insert(definition.table.to_string(), (bar, task));
        drop(running);
        end(earlier);
    }

    fn ended(&self, report: &TableReport) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = running.remove(&report.table);
        drop(running);
        end(ended);
    }
}

/// Rows read with their rate, and what has come out.
fn rates(read: u64, rows: u64, bytes: u64, elapsed: Duration) -> String {
    let per_second = read as f64 / elapsed.as_secs_f64().max(0.001);
    format!(
        "{} rows ({}/s), staged {} rows, {}",
        HumanCount(read),
        HumanCount(per_second as u64),
        HumanCount(rows),
        HumanBytes(bytes),
    )
}

fn end(bar: Option<(ProgressBar, tokio::task::JoinHandle<()>)>) {
    if let Some((bar, task)) = bar {
        task.abort();
        bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_per_second() {
        assert_eq!(
            rates(3_000, 2_000, 1 << 20, Duration::from_secs(2)),
            "3,000 rows (1,500/s), staged 2,000 rows, 1.00 MiB"
        );
        assert_eq!(
            rates(0, 0, 0, Duration::ZERO),
            "0 rows (0/s), staged 0 rows, 0 B"
        );
    }
}
