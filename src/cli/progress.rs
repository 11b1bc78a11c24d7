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
        let style = ProgressStyle::with_template("{spinner} {prefix} {bar:20} {msg}");
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
                drawn.set_message(format!(
                    "read {} rows, staged {} rows, {}",
                    HumanCount(read.rows_read),
                    HumanCount(stage.progress().rows()),
                    HumanBytes(stage.progress().bytes()),
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

fn end(bar: Option<(ProgressBar, tokio::task::JoinHandle<()>)>) {
    if let Some((bar, task)) = bar {
        task.abort();
        bar.finish_and_clear();
    }
}
