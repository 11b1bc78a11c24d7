//! The folder of spill files: a run leaves nothing there, not even one that is killed.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{SECOND_DAY, Sandbox, TestDestination};

const LOCK: &str = ".dayport-lock";

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("read a folder");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort_unstable();
    names
}

/// Makes a folder as a run makes it, and returns its lock.
fn spill_folder(parent: &Path, name: &str) -> (PathBuf, File) {
    let folder = parent.join(name);
    fs::create_dir_all(folder.join("datafusion-x")).expect("make a folder");
    fs::write(folder.join("datafusion-x/rows"), "rows").expect("write a file");
    let lock = File::create(folder.join(LOCK)).expect("make a lock file");
    (folder, lock)
}

#[test]
fn a_run_removes_folders_whose_lock_is_free() {
    let sandbox = Sandbox::fixtures(TestDestination::local());
    let spills = sandbox.folder().join("spills");
    let (_, free) = spill_folder(&spills, "dayport-killed");
    drop(free);
    let (held_folder, held) = spill_folder(&spills, "dayport-running");
    held.try_lock().expect("lock a file");
    let args = ["--date", SECOND_DAY, "--spill-dir", "spills", "aliases"];
    sandbox.run(&args).succeeded();
    assert_eq!(names(&spills), ["dayport-running"]);
    assert_eq!(names(&held_folder), [LOCK, "datafusion-x"]);
    drop(held);
    sandbox.run(&args).succeeded();
    assert!(names(&spills).is_empty());
}

/// A query that waits for its statement has its folder; being killed, it cannot remove it.
#[test]
fn a_killed_run_leaves_nothing_after_the_next_one() {
    let mut sandbox = Sandbox::fixtures(TestDestination::local());
    sandbox.set_env("DAYPORT_SPILL_DIR", "spills");
    let spills = sandbox.folder().join("spills");
    // A query does not create it.
    fs::create_dir(&spills).expect("make a folder");
    let mut child = sandbox
        .command(&["query", "--from", "raw"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("start dayport");
    let deadline = Instant::now() + Duration::from_mins(1);
    while names(&spills).is_empty() {
        assert!(Instant::now() < deadline, "no spill folder");
        std::thread::yield_now();
    }
    let left = names(&spills);
    child.kill().expect("kill dayport");
    child.wait().expect("wait for dayport");
    assert_eq!(names(&spills), left);
    sandbox.query(&["SELECT 1 AS one"]).exited_with(0);
    assert!(names(&spills).is_empty());
}

#[test]
fn a_folder_that_cannot_be_used_is_refused() {
    let sandbox = Sandbox::fixtures(TestDestination::local());
    let mut file = File::create(sandbox.folder().join("file")).expect("make a file");
    file.write_all(b"x").expect("write a file");
    let args = ["--date", SECOND_DAY, "--spill-dir", "file", "aliases"];
    sandbox
        .run(&args)
        .exited_with(2)
        .stderr_has("cannot keep spill files in `file`")
        .stderr_has("--spill-dir");
}
