//! The inputs of `tests/corpus` run on their targets: seeds, and what once failed.

use std::path::Path;

use super::TARGETS;

#[test]
fn every_target_takes_its_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    for (name, target) in TARGETS {
        let folder = std::fs::read_dir(corpus.join(name)).expect(name);
        let mut files: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(files.len() >= 2, "{name} has no seeds");
        for file in files {
            let input = std::fs::read(&file).unwrap();
            let caught = std::panic::catch_unwind(|| target(&input));
            assert!(caught.is_ok(), "{}", file.display());
        }
    }
}
