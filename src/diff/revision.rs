//! The definitions of a git revision, read with the program `git`.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sha2::{Digest, Sha256};

use crate::catalog::Sources;
use crate::definition::{self, Definition};
use crate::error::{Error, Result};

/// The mode of a symbolic link in a tree of git.
const LINK_MODE: &str = "120000";

/// The SQL files of a folder of definitions.
#[derive(Debug)]
pub(crate) struct SqlFiles {
    pub definitions: Vec<Definition>,
    pub sources: Sources,
    /// The SHA-256 of all declarations of sources.
    pub sources_digest: String,
    /// The commit, if the files are of a git revision.
    pub commit: Option<String>,
}

/// Files by their paths.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Reads the definitions of a folder as it is.
///
/// # Errors
/// As for a run.
pub(crate) fn read_folder(folder: &Path) -> Result<SqlFiles> {
    let definitions = definition::load(folder)?;
    let sources_folder = folder.join(definition::SOURCES);
    let sources = Sources::load(&sources_folder)?;
    let mut declarations = Files::new();
    let unreadable = |error: io::Error| {
        Error::invalid(format!("cannot read `{}`", sources_folder.display())).with_source(error)
    };
    for entry in std::fs::read_dir(&sources_folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if is_sql(&path)
            && let Some(name) = path.file_name()
        {
            let bytes = std::fs::read(&path).map_err(unreadable)?;
            declarations.insert(PathBuf::from(name), bytes);
        }
    }
    Ok(SqlFiles {
        definitions,
        sources,
        sources_digest: digest(&declarations),
        commit: None,
    })
}

/// Reads the definitions of a folder as they are in a git revision.
///
/// # Errors
/// [`Error::invalid`] if there is no program `git`, if the folder is in no repository or has nothing in the
/// revision, if there is no such revision, or if a file is wrong, with file and line.
pub(crate) fn read_revision(folder: &Path, revision: &str) -> Result<SqlFiles> {
    let (existing, rest) = existing_folder(folder);
    let git = Git { folder: existing };
    git.run(&["--version"])
        .map_err(|error| error.with_hint("git:REVISION needs it"))?;
    let top = git.run(&["rev-parse", "--show-prefix"]).map_err(|error| {
        let shown = folder.display();
        error
            .context(format!("`{shown}` is in no repository of git"))
            .with_hint("git:REVISION needs a --sql folder below the working tree of a repository")
    })?;
    let prefix = PathBuf::from(line(&top)).join(rest);
    let named = format!("{revision}^{{commit}}");
    let commit = git
        .run(&["rev-parse", "--verify", "--end-of-options", &named])
        .map_err(|error| {
            error
                .context(format!("there is no git revision `{revision}`"))
                .with_hint("a revision is a branch, a tag or a commit, such as `main` or `HEAD~1`; a shallow \
                            clone has only the last ones (`git fetch --unshallow`)")
        })?;
    let commit = line(&commit);
    let files = git.files(&commit, &prefix)?;
    let shown = |path: &Path| PathBuf::from(format!("{revision}:{}", folder.join(path).display()));
    if !files
        .keys()
        .any(|path| path.components().count() == 1 && is_sql(path))
    {
        let place = folder.display();
        return Err(Error::invalid(format!(
            "there is no definition in `{place}` at the git revision `{revision}`"
        )));
    }
    let mut declarations = Files::new();
    for (path, bytes) in &files {
        if let Ok(name) = path.strip_prefix(definition::SOURCES) {
            declarations.insert(name.to_owned(), bytes.clone());
        }
    }
    let definitions = definition::parse_all(&files, shown)?;
    let sources = Sources::parse_all(&declarations, |path| {
        shown(&Path::new(definition::SOURCES).join(path))
    })?;
    declarations.retain(|path, _| is_sql(path));
    Ok(SqlFiles {
        definitions,
        sources,
        sources_digest: digest(&declarations),
        commit: Some(commit),
    })
}

fn is_sql(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.extension().is_some_and(|extension| extension == "sql") && !name.starts_with('.')
}

fn digest(files: &Files) -> String {
    let mut digest = Sha256::new();
    for (path, bytes) in files {
        digest.update(path.to_string_lossy().as_bytes());
        digest.update([0]);
        digest.update(Sha256::digest(bytes));
    }
    format!("{:x}", digest.finalize())
}

/// Splits a path into the part that exists and the rest: a revision may have folders that are gone now.
fn existing_folder(folder: &Path) -> (PathBuf, PathBuf) {
    let mut existing = folder;
    while !existing.is_dir() {
        match existing.parent() {
            Some(parent) => existing = parent,
            None => break,
        }
    }
    let rest = folder.strip_prefix(existing).unwrap_or(Path::new(""));
    match existing.as_os_str().is_empty() {
        true => (PathBuf::from("."), rest.to_owned()),
        false => (existing.to_owned(), rest.to_owned()),
    }
}

fn line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.trim_end_matches('\n').to_owned()
}

/// The program `git`, run in a folder.
struct Git {
    folder: PathBuf,
}

impl Git {
    /// Runs a command and returns what it prints.
    fn run(&self, arguments: &[&str]) -> Result<Vec<u8>> {
        // A hook of git has these variables, which would override the folder.
        let output = Command::new("git")
            .env_remove("GIT_DIR")
            .env_remove("GIT_WORK_TREE")
            .env_remove("GIT_INDEX_FILE")
            .arg("-C")
            .arg(&self.folder)
            .args(arguments)
            .output();
        match output {
            Ok(Output { status, stdout, .. }) if status.success() => Ok(stdout),
            Ok(Output { stderr, .. }) => {
                let reason = String::from_utf8_lossy(&stderr);
                let reason = reason.trim().trim_start_matches("fatal: ").to_owned();
                Err(Error::invalid(format!("git: {reason}")))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Error::invalid("there is no program `git`").with_source(error))
            }
            Err(error) => Err(Error::invalid("cannot run `git`").with_source(error)),
        }
    }

    /// Reads all SQL files below a folder of the working tree's root, by their paths below the folder.
    fn files(&self, commit: &str, prefix: &Path) -> Result<Files> {
        let prefix_text = prefix.to_string_lossy();
        let prefix_text = prefix_text.trim_end_matches('/');
        let tree = match prefix_text {
            "" => commit.to_owned(),
            prefix => format!("{commit}:{prefix}"),
        };
        // A folder that is not there has no files.
        let Ok(listed) = self.run(&["ls-tree", "-r", "-z", "--full-tree", &tree]) else {
            return Ok(Files::new());
        };
        let mut files = Files::new();
        for entry in String::from_utf8_lossy(&listed).split_terminator('\0') {
            let Some((about, path)) = entry.split_once('\t') else {
                continue;
            };
            let mut words = about.split(' ');
            let (mode, kind, object) = (words.next(), words.next(), words.next());
            let path = PathBuf::from(path);
            let extension = path.extension().unwrap_or_default();
            if kind != Some("blob") || !extension.eq_ignore_ascii_case("sql") {
                continue;
            }
            if mode == Some(LINK_MODE) {
                let shown = path.display();
                return Err(Error::invalid(format!(
                    "`{shown}` is a symbolic link in the git revision, which is not followed"
                )));
            }
            let bytes = self.run(&["cat-file", "blob", object.unwrap_or_default()])?;
            files.insert(path, bytes);
        }
        Ok(files)
    }
}
