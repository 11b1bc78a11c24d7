//! The files of `src` as a graph: an edge runs from a file to each file that it imports from.

use std::collections::{BTreeMap, BTreeSet};

use crate::architecture::source::SourceFile;

/// The number of re-exports in a row that [`Graph::resolve`] follows.
const MAX_REEXPORTS: usize = 8;

pub(super) struct Graph<'a> {
    files: &'a [SourceFile],
    by_module_path: BTreeMap<&'a [String], usize>,
    /// The indexes of the files that each file imports from.
    edges: Vec<BTreeSet<usize>>,
}

impl<'a> Graph<'a> {
    pub(super) fn new(files: &'a [SourceFile]) -> Self {
        let by_module_path = files.iter().enumerate();
        let mut graph = Self {
            files,
            by_module_path: by_module_path
                .map(|(index, file)| (file.module_path.as_slice(), index))
                .collect(),
            edges: Vec::new(),
        };
        graph.edges = (0..files.len()).map(|index| graph.imports(index)).collect();
        graph
    }

    /// Returns the files that a file imports from, itself left out.
    ///
    /// A re-export is no import, unless the file uses the name as well: a `mod.rs` that only
    /// re-exports imports nothing of its children.
    fn imports(&self, index: usize) -> BTreeSet<usize> {
        let paths = &self.files[index].paths;
        let used = paths
            .imports
            .iter()
            .filter(|import| !import.is_public || paths.words.contains(&import.name));
        let named = used.map(|import| &import.path).chain(&paths.inline);
        let mut edges: BTreeSet<usize> = named
            .filter_map(|path| self.resolve(index, path, MAX_REEXPORTS))
            .collect();
        edges.remove(&index);
        edges
    }

    /// Returns the file that defines what `path` names in the file `index`, or `None` if that is no
    /// file of this crate.
    ///
    /// Re-exports are followed: who takes a name from a `mod.rs` imports from the file behind it.
    fn resolve(&self, index: usize, path: &[String], reexports: usize) -> Option<usize> {
        let own = self.files[index].module_path.as_slice();
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => self.descend(&[], None, rest, reexports),
            "self" => self.descend(own, Some(index), rest, reexports),
            "super" => {
                let up = rest
                    .iter()
                    .take_while(|segment| *segment == "super")
                    .count();
                let parent = own.get(..own.len().checked_sub(up + 1)?)?;
                let parent_index = self.by_module_path.get(parent).copied();
                self.descend(parent, parent_index, &rest[up..], reexports)
            }
            _ => {
                let found = self.descend(own, Some(index), path, reexports);
                found.filter(|found| *found != index)
            }
        }
    }

    /// Follows `path` down from the module `at`, whose file is `index`.
    fn descend(
        &self,
        at: &[String],
        index: Option<usize>,
        path: &[String],
        reexports: usize,
    ) -> Option<usize> {
        let Some((segment, rest)) = path.split_first() else {
            return index;
        };
        let child = [at, std::slice::from_ref(segment)].concat();
        if let Some(child_index) = self.by_module_path.get(child.as_slice()) {
            return self.descend(&child, Some(*child_index), rest, reexports);
        }
        let index = index?;
        let mut imports = self.files[index].paths.imports.iter();
        match imports.find(|import| import.name == *segment) {
            Some(import) if reexports > 0 && import.path[0] != *segment => {
                let behind = [import.path.as_slice(), rest].concat();
                self.resolve(index, &behind, reexports - 1)
            }
            Some(_) => None,
            None => Some(index),
        }
    }

    /// Returns, for each circle between the files of one module, their names in order.
    pub(super) fn circles(&self) -> BTreeSet<Vec<&'a str>> {
        let reached: Vec<BTreeSet<usize>> = (0..self.files.len())
            .map(|index| self.reached_in_module(index))
            .collect();
        let in_circle = |index: &usize| reached[*index].contains(index);
        (0..self.files.len())
            .filter(in_circle)
            .map(|index| {
                let members = reached[index].iter();
                members
                    .filter(|member| reached[**member].contains(&index))
                    .map(|member| self.files[*member].name.as_str())
                    .collect()
            })
            .collect()
    }

    fn reached_in_module(&self, from: usize) -> BTreeSet<usize> {
        let module = self.files[from].module();
        let (mut reached, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(index) = open.pop() {
            for next in &self.edges[index] {
                if self.files[*next].module() == module && reached.insert(*next) {
                    open.push(*next);
                }
            }
        }
        reached
    }

    /// Returns the imports between `names`, one a line, to be read in a failure.
    pub(super) fn edges_between(&self, names: &[&str]) -> Vec<String> {
        let is_member = |index: &usize| names.contains(&self.files[*index].name.as_str());
        let members = (0..self.files.len()).filter(is_member);
        members
            .map(|index| {
                let imported: Vec<&str> = self.edges[index]
                    .iter()
                    .copied()
                    .filter(is_member)
                    .map(|other| self.files[other].name.as_str())
                    .collect();
                format!("{} -> {}", self.files[index].name, imported.join(", "))
            })
            .collect()
    }

    /// Returns the modules of this crate that each module imports, itself left out, with the files
    /// that do so.
    pub(super) fn modules(&self) -> BTreeMap<&'a str, BTreeMap<&'a str, Vec<String>>> {
        let mut modules: BTreeMap<&str, BTreeMap<&str, Vec<String>>> = BTreeMap::new();
        for file in self.files {
            let imports = modules.entry(file.module()).or_default();
            for import in file.imported_modules() {
                let importers = imports.entry(import).or_default();
                importers.push(file.name.clone());
            }
        }
        modules
    }
}
