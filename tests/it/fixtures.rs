//! The committed fixtures are the output of their generator.

#[allow(dead_code, reason = "the program around the generator")]
#[path = "../../fixtures/generate.rs"]
mod generate;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;

use crate::support::repository;

/// Returns the paths below a folder with the decompressed contents, because the bytes of a compressed
/// file depend on the compressor.
fn contents(root: &Path) -> BTreeMap<String, String> {
    let (mut contents, mut folders) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("read a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let relative = path.strip_prefix(root).expect("a path below the root");
            let text = text(
                &relative.to_string_lossy(),
                &fs::read(&path).expect("read a file"),
            );
            contents.insert(relative.display().to_string(), text);
        }
    }
    contents
}

fn text(name: &str, bytes: &[u8]) -> String {
    let mut text = Vec::new();
    if name.ends_with(".gz") {
        GzDecoder::new(bytes).read_to_end(&mut text).expect("gzip");
    } else if name.ends_with(".zst") {
        text = zstd::decode_all(bytes).expect("zstd");
    } else {
        text = bytes.to_owned();
    }
    String::from_utf8(text).expect("UTF-8")
}

#[test]
fn the_committed_fixtures_are_the_output_of_the_generator() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    generate::generate(folder.path()).expect("generate");
    let generated = contents(folder.path());
    let committed = contents(&repository().join("fixtures/raw"));
    assert!(
        generated.keys().eq(committed.keys()),
        "{:?}\n{:?}",
        generated.keys(),
        committed.keys()
    );
    assert!(generated.len() > 72, "{} files", generated.len());
    for (name, text) in &generated {
        // Not `assert_eq`: it would print megabytes.
        assert!(
            *text == committed[name],
            "`{name}` differs from the output of the generator"
        );
    }
}
