//! The files of `src`, without their tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use crate::architecture::paths::Paths;
use crate::architecture::tokens::tokenize;
use crate::support::repository;

/// A file of `src`, without its tests.
pub(super) struct SourceFile {
    /// The path below `src`: `scan/json/exec.rs`.
    pub(super) name: String,
    /// The path of the Rust module that the file is: `["scan", "json", "exec"]`.
    pub(super) module_path: Vec<String>,
    /// The text, tests included.
    pub(super) text: String,
    /// The text without comments and tests; empty if the whole file is tests.
    pub(super) code: String,
    pub(super) paths: Paths,
    /// The number of lines, tests included.
    pub(super) lines: usize,
}

impl SourceFile {
    /// Returns the module of the crate that the file belongs to: `scan`.
    pub(super) fn module(&self) -> &str {
        self.module_path.first().map_or("lib", String::as_str)
    }

    /// Returns true if the file is the root of its module of the crate.
    pub(super) fn is_module_root(&self) -> bool {
        self.module_path.len() == 1
    }

    /// Returns the other modules of the crate that the file imports from; the program imports them
    /// by the name of the crate.
    pub(super) fn imported_modules(&self) -> BTreeSet<&str> {
        let in_crate = |path: &&Vec<String>| path[0] == "crate" || path[0] == "dayport";
        let paths = self.paths.all().filter(in_crate);
        let modules = paths.filter_map(|path| path.get(1).map(String::as_str));
        modules.filter(|module| *module != self.module()).collect()
    }

    /// Returns true if the file names a crate whose name begins with `prefix`.
    pub(super) fn names_crate(&self, prefix: &str) -> bool {
        self.paths.all().any(|path| path[0].starts_with(prefix))
    }

    /// Returns true if the file names one of `types` of a module `module`, of whatever crate.
    pub(super) fn names_type(&self, module: &str, types: &[&str]) -> bool {
        let names_type = |pair: &[String]| pair[0] == module && types.contains(&pair[1].as_str());
        self.paths.all().any(|path| path.windows(2).any(names_type))
    }
}

/// Returns all files of `src` but its root, in the order of their names.
pub(super) fn source_files() -> &'static [SourceFile] {
    static FILES: LazyLock<Vec<SourceFile>> = LazyLock::new(read_source_files);
    &FILES
}

fn read_source_files() -> Vec<SourceFile> {
    let root = repository().join("src");
    let (mut files, mut folders) = (Vec::new(), vec![root.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("read a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(source_file(&root, &path));
            }
        }
    }
    assert!(files.len() > 50, "only {} files", files.len());
    files.retain(|file| file.name != "lib.rs");
    files.sort_by(|one, other| one.name.cmp(&other.name));
    files
}

fn source_file(root: &Path, path: &Path) -> SourceFile {
    let text = fs::read_to_string(path).expect("UTF-8");
    let relative = path.strip_prefix(root).expect("a path below src");
    let name = relative.to_str().expect("UTF-8").to_owned();
    let without_extension = name.trim_end_matches(".rs").trim_end_matches("/mod");
    let module_path: Vec<String> = without_extension.split('/').map(str::to_owned).collect();
    let is_test = module_path.iter().any(|segment| segment == "tests");
    let without_tests = match text.split("#[cfg(test)]\nmod tests {").next() {
        Some(without_tests) if !is_test => without_tests,
        _ => "",
    };
    SourceFile {
        paths: Paths::parse(&tokenize(without_tests)),
        code: without_tests.lines().map(without_comment).collect(),
        name,
        module_path,
        lines: text.lines().count(),
        text,
    }
}

fn without_comment(line: &str) -> String {
    let code = line.split("//").next().unwrap_or_default();
    format!("{code}\n")
}
