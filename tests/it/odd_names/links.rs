//! Links in a local destination that lead out of it, and files that killed writes left there.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::one_file;
use crate::support::{CommandOutput, Sandbox, TestDestination, check_published};
use crate::world::world;

/// Returns the folder of the destination.
fn root(sandbox: &Sandbox) -> PathBuf {
    PathBuf::from(sandbox.destination.url().trim_end_matches('/'))
}

/// Puts a link to a new folder in the place of a folder of the destination, and moves its content there.
fn lead_out(sandbox: &Sandbox, folder: &str) -> TempDir {
    let outside = TempDir::new().expect("a temporary folder");
    let place = root(sandbox).join(folder);
    fs::create_dir_all(place.parent().expect("a folder")).expect("make a folder");
    let target = outside.path().join("target");
    if place.exists() {
        fs::rename(&place, &target).expect("move a folder");
    } else {
        fs::create_dir(&target).expect("make a folder");
    }
    symlink(&target, &place).expect("a link");
    outside
}

/// Returns the files of a folder that [`lead_out`] made.
fn files(outside: &TempDir) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![outside.path().to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    files.sort();
    files
}

fn run(sandbox: &Sandbox, date: &str) -> CommandOutput {
    sandbox.run(&["--date", date])
}

#[test]
fn nothing_is_written_through_a_link_out_of_the_destination() {
    for folder in [
        "data",
        "data/t",
        "manifests/t",
        "_dayport",
        "_dayport/log/t",
        "_dayport/staging",
    ] {
        let sandbox = one_file(TestDestination::local());
        let outside = lead_out(&sandbox, folder);
        run(&sandbox, "2026-01-15")
            .exited_with(1)
            .stderr_has("below a link that leads out of the destination")
            .hint_has("put a folder in the place of the link");
        assert_eq!(files(&outside), Vec::<PathBuf>::new(), "{folder}");
        fs::remove_file(root(&sandbox).join(folder)).expect("remove the link");
        run(&sandbox, "2026-01-15").succeeded();
        check_published(&sandbox.destination);
    }
}

#[test]
fn nothing_is_removed_through_a_link_out_of_the_destination() {
    for (folder, args) in [
        ("data/views", &["--format", "json", "--accept-change"][..]),
        (
            "data/views/year=2026",
            &["--format", "json", "--accept-change"],
        ),
        ("_dayport/staging", &[]),
    ] {
        let sandbox = world(TestDestination::local());
        run(&sandbox, "2026-01-15").succeeded();
        let staged = "_dayport/staging/old/000000000000";
        sandbox.destination.put(staged, "others");
        let old = root(&sandbox).join("_dayport/staging/old");
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        let opened = fs::File::open(old).expect("a folder");
        opened.set_modified(modified).expect("set the time");
        drop(opened);
        let outside = lead_out(&sandbox, folder);
        let before = files(&outside);
        assert!(!before.is_empty(), "{folder}");
        let rerun = ["views", "--date", "2026-01-15", "--rerun"];
        sandbox
            .run(&[&rerun, args].concat())
            .exited_with(1)
            .stderr_has("below a link that leads out of the destination");
        assert_eq!(files(&outside), before, "{folder}");
    }
}

/// A commit is not finished through a link, and no error hides it.
#[test]
fn a_commit_is_not_finished_through_a_link_out_of_the_destination() {
    let sandbox = one_file(TestDestination::local());
    run(&sandbox, "2026-01-15").succeeded();
    sandbox.destination.delete("manifests/t/2026-01-15.r0.json");
    let outside = lead_out(&sandbox, "manifests/t");
    for args in [&[][..], &["--date", "2026-01-15"]] {
        sandbox
            .run(args)
            .exited_with(1)
            .stderr_has("below a link that leads out of the destination");
        assert_eq!(files(&outside), Vec::<PathBuf>::new());
    }
    fs::remove_file(root(&sandbox).join("manifests/t")).expect("remove the link");
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
    check_published(&sandbox.destination);
}

#[test]
fn links_to_the_destination_and_within_it_are_followed() {
    let sandbox = one_file(TestDestination::local());
    let real = TempDir::new().expect("a temporary folder");
    let place = root(&sandbox);
    fs::create_dir_all(place.parent().expect("a folder")).expect("make a folder");
    fs::create_dir(real.path().join("tables")).expect("make a folder");
    symlink(real.path(), &place).expect("a link");
    symlink("tables", place.join("data")).expect("a link");
    run(&sandbox, "2026-01-15").succeeded();
    assert!(real.path().join("tables/t").is_dir());
}

/// `object_store` writes `a.json` as `a.json#1` first; a run that is killed then leaves it.
#[test]
fn temporary_files_of_killed_writes_are_swept() {
    let sandbox = one_file(TestDestination::local());
    run(&sandbox, "2026-01-15").succeeded();
    let temporary = [
        "manifests/t/2026-01-16.r0.json#1",
        "_dayport/log/t/00000000000000000002.json#1",
        "schema/t/v2.json#1",
    ];
    let foreign = "manifests/t/notes#1";
    for key in temporary.iter().chain([&foreign]) {
        sandbox.destination.put(key, "{");
        let file = fs::File::open(root(&sandbox).join(key)).expect("a file");
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        file.set_modified(modified).expect("set the time");
    }
    let young = "manifests/t/2026-01-17.r0.json#1";
    sandbox.destination.put(young, "{");
    run(&sandbox, "2026-01-16").succeeded();
    for key in temporary {
        assert_eq!(sandbox.destination.find(key), None, "{key}");
    }
    for key in [foreign, young] {
        assert!(sandbox.destination.find(key).is_some(), "{key}");
    }
}
