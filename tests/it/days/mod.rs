//! Seeded days: source files land on time, late, move, change and vanish, while runs skip days, die and
//! meet each other. A receiver that follows manifests must have every row once.
//!
//! ```text
//! seed ─> Landing (files by source and day) ─> run of dayport ─> Receiver (manifests, markers)
//!            └────────────> Expected (the rules, without dayport) <──compare──┘
//! ```
//! `cargo test` plays some worlds, and `benches/days` many. A world is replayed from its seed alone.

mod expected;
mod landing;
mod program;
mod receiver;
mod schedule;
mod world;

use std::fmt;

pub(crate) use schedule::{RULES, play_schedule};
pub(crate) use world::play_world;

/// The number of days of a world.
pub(crate) const DAYS: u32 = 20;

/// What happened, summed over worlds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub days: u64,
    pub runs: u64,
    pub deaths: u64,
    pub pairs: u64,
    pub reruns: u64,
    pub late_files: u64,
    pub compacted: u64,
    pub replaced: u64,
    pub rewritten: u64,
    pub vanished: u64,
    pub publications: u64,
    pub late_revisions: u64,
    pub same_rows: u64,
    pub gone: u64,
    pub late_after_final: u64,
    pub rows: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Counts) {
        let Counts {
            days,
            runs,
            deaths,
            pairs,
            reruns,
            late_files,
            compacted,
            replaced,
            rewritten,
            vanished,
            publications,
            late_revisions,
            same_rows,
            gone,
            late_after_final,
            rows,
        } = other;
        self.days += days;
        self.runs += runs;
        self.deaths += deaths;
        self.pairs += pairs;
        self.reruns += reruns;
        self.late_files += late_files;
        self.compacted += compacted;
        self.replaced += replaced;
        self.rewritten += rewritten;
        self.vanished += vanished;
        self.publications += publications;
        self.late_revisions += late_revisions;
        self.same_rows += same_rows;
        self.gone += gone;
        self.late_after_final += late_after_final;
        self.rows += rows;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} days, {} runs ({} died, {} in pairs, {} reruns); files: {} late, {} compacted or moved, \
             {} with other content, {} rewritten, {} vanished; {} publications, {} of them for late \
             files; late files: {} times the same rows, {} beside files that are gone, {} after the end; \
             {} rows at the receiver",
            self.days,
            self.runs,
            self.deaths,
            self.pairs,
            self.reruns,
            self.late_files,
            self.compacted,
            self.replaced,
            self.rewritten,
            self.vanished,
            self.publications,
            self.late_revisions,
            self.same_rows,
            self.gone,
            self.late_after_final,
            self.rows
        )
    }
}
