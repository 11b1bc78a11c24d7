//! A destination, definitions and raw data for one scenario, and the program to run on them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{fs, iter};

use bytes::Bytes;
use tempfile::TempDir;

use super::{CommandOutput, TestDestination};

/// The default clock of every run: the last day of the fixtures is over.
const NOW: &str = "2026-01-17T03:00:00Z";

/// The days of the fixtures.
pub(crate) const FIRST_DAY: &str = "2026-01-14";
pub(crate) const SECOND_DAY: &str = "2026-01-15";
pub(crate) const THIRD_DAY: &str = "2026-01-16";

/// Returns the root of the repository, which holds `sql/` and `fixtures/`.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// An isolated environment for runs: they start in [`Sandbox::folder`], read `sql` and `raw` there, and
/// export to the destination.
pub(crate) struct Sandbox {
    pub(crate) destination: TestDestination,
    folder: TempDir,
    now: String,
    env: Vec<(String, String)>,
    unset: Vec<String>,
}

impl Sandbox {
    /// Creates a sandbox without definitions and raw data.
    pub(crate) fn empty(destination: TestDestination) -> Sandbox {
        let folder = TempDir::new().expect("a temporary folder");
        for name in ["sql/sources", "raw"] {
            fs::create_dir_all(folder.path().join(name)).expect("make a folder");
        }
        Sandbox {
            destination,
            folder,
            now: NOW.to_owned(),
            env: Vec::new(),
            unset: Vec::new(),
        }
    }

    /// Creates a sandbox with the definitions and the fixtures of the repository.
    pub(crate) fn fixtures(destination: TestDestination) -> Sandbox {
        let sandbox = Sandbox::empty(destination);
        let copy = |from: &str, to: &str| {
            copy_folder(&repository().join(from), &sandbox.folder().join(to));
        };
        copy("sql", "sql");
        copy("fixtures/raw", "raw");
        sandbox
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file below [`Sandbox::folder`], such as `sql/views.sql` or `raw/events/a.json`.
    pub(crate) fn write(&self, path: &str, content: impl Into<Bytes>) -> &Sandbox {
        let path = self.folder().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("make a folder");
        fs::write(path, content.into()).expect("write a file");
        self
    }

    pub(crate) fn remove(&self, path: &str) -> &Sandbox {
        fs::remove_file(self.folder().join(path)).expect("delete a file");
        self
    }

    /// Sets the clock of the runs that follow.
    pub(crate) fn set_clock(&mut self, now: &str) {
        now.clone_into(&mut self.now);
    }

    /// Sets a variable of the environment of the runs that follow.
    pub(crate) fn set_env(&mut self, name: &str, value: &str) {
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// Removes a variable from the environment of the runs that follow.
    pub(crate) fn unset_env(&mut self, name: &str) {
        self.unset.push(name.to_owned());
    }

    /// Runs `dayport run --from raw --to <destination>` with more arguments.
    pub(crate) fn run(&self, args: &[&str]) -> CommandOutput {
        let to = self.destination.url();
        let destinations = ["run", "--from", "raw", "--to", &to];
        self.dayport(&[&destinations, args].concat())
    }

    /// Runs `dayport run` on a cluster, as [`Sandbox::run`] does.
    #[cfg(feature = "cluster")]
    pub(crate) fn run_on(&self, cluster: &str, args: &[&str]) -> CommandOutput {
        self.run(&[&["--cluster", cluster], args].concat())
    }

    /// Runs `dayport query --from raw` with more arguments.
    pub(crate) fn query(&self, args: &[&str]) -> CommandOutput {
        self.dayport(&[&["query", "--from", "raw"], args].concat())
    }

    /// Runs `dayport` with exactly these arguments and waits for it.
    pub(crate) fn dayport(&self, args: &[&str]) -> CommandOutput {
        let output = self.command(args).output();
        CommandOutput::new(args, output.expect("start dayport"))
    }

    /// Returns the command to start. It inherits no variable of this process's environment.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dayport"));
        command
            .args(args)
            .current_dir(self.folder())
            .env_clear()
            .env("DAYPORT_NOW", &self.now)
            // No AWS profile of the user who runs the tests, and no call to a metadata service.
            .env("HOME", self.folder())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(self.destination.env())
            .envs(self.env.iter().cloned())
            .stdin(Stdio::null());
        for name in &self.unset {
            command.env_remove(name);
        }
        command
    }

    /// Replaces what differs from run to run (paths, ports, run ids, times) by placeholders.
    pub(crate) fn redacted(&self, text: &str) -> String {
        let folder = self.folder().display().to_string();
        let replaced = text
            .replace(&self.destination.url(), "[TO]")
            .replace(self.destination.url().trim_end_matches('/'), "[TO]")
            .replace(&folder, "[SANDBOX]");
        let lines = replaced.lines().map(without_run_id);
        lines
            .map(|line| line.trim_end().to_owned() + "\n")
            .collect()
    }
}

/// Replaces the random digits of run ids; a run id is the pinned clock and twelve random digits.
fn without_run_id(line: &str) -> String {
    let mut pieces = line.split("T030000Z-");
    let first = pieces.next().unwrap_or_default().to_owned();
    let rest = pieces.flat_map(|piece| ["T030000Z-[RANDOM]", &piece[12..]]);
    iter::once(first.as_str()).chain(rest).collect()
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("make a folder");
    for entry in fs::read_dir(from).expect("read a folder") {
        let path: PathBuf = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            fs::copy(&path, &target).expect("copy a file");
        }
    }
}
