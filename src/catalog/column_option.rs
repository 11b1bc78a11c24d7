//! Options about the values of columns: `name` for the whole source, `name.<column>` for one column.

use datafusion::arrow::datatypes::{DataType, FieldRef};

use crate::error::Result;
use crate::sql_file::SqlFile;

/// An option about the values of columns.
#[derive(Debug, PartialEq)]
pub(super) struct ColumnOption<T> {
    /// The value for all columns of the source that have none of their own.
    source: Option<T>,
    /// The path of a column, as it was written, and its value.
    columns: Vec<(String, T)>,
}

impl<T> Default for ColumnOption<T> {
    fn default() -> Self {
        Self {
            source: None,
            columns: Vec::new(),
        }
    }
}

impl<T> ColumnOption<T> {
    /// Sets the value of a column, or that of the whole source.
    pub(super) fn set(&mut self, column: Option<&str>, value: T) {
        match column {
            Some(column) => self.columns.push((column.to_owned(), value)),
            None => self.source = Some(value),
        }
    }

    /// Returns the value for a leaf, whose path is `path`.
    pub(super) fn of(&self, path: &str) -> Option<&T> {
        self.of_column(path).or(self.source.as_ref())
    }

    /// Returns the value that is declared for a leaf itself.
    pub(super) fn of_column(&self, path: &str) -> Option<&T> {
        let mut own = self.columns.iter().rev();
        let own = own.find(|(column, _)| column == path);
        own.map(|(_, value)| value)
    }

    /// Returns the option as it is declared for the source, or else for its first column.
    pub(super) fn written(&self, name: &str) -> Option<String> {
        match (&self.source, self.columns.first()) {
            (Some(_), _) => Some(name.to_owned()),
            (None, Some((column, _))) => Some(format!("{name}.{column}")),
            (None, None) => None,
        }
    }

    /// Checks that the option `name` is about leaves which `applies` accepts. Messages call their types
    /// `type_names`.
    ///
    /// # Errors
    /// [`Error::invalid`](crate::error::Error::invalid) with file and line if it names another column,
    /// or if there is no such column at all.
    pub(super) fn check(
        &self,
        file: &SqlFile,
        (name, type_names): (&str, &str),
        leaves: &[Leaf],
        applies: impl Fn(&DataType) -> bool,
    ) -> Result<()> {
        let complain = |key: &str, what: String| Err(file.complaint(file.last_line_of(key), what));
        for (path, _) in &self.columns {
            let option = format!("{name}.{path}");
            match leaves.iter().find(|leaf| leaf.path == *path) {
                Some(leaf) if applies(&leaf.data_type) => {}
                Some(_) => {
                    let what = format!("`{option}`: `{path}` is not a {type_names}");
                    return complain(&option, what);
                }
                None => {
                    let what = format!("`{option}`: the files have no column `{path}`");
                    return complain(&option, what);
                }
            }
        }
        if self.source.is_some() && !leaves.iter().any(|leaf| applies(&leaf.data_type)) {
            let what = format!("`{name}`: the files have no {type_names} column");
            return complain(name, what);
        }
        Ok(())
    }
}

/// A leaf of a column. The elements of a list have the path of the list.
pub(super) struct Leaf {
    pub(super) path: String,
    pub(super) data_type: DataType,
}

/// Returns the leaves of fields in the order of [`crate::arrow_leaves`].
pub(super) fn leaves_of(fields: &[FieldRef]) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    for field in fields {
        push_leaves(field, field.name().clone(), &mut leaves);
    }
    leaves
}

fn push_leaves(field: &FieldRef, path: String, leaves: &mut Vec<Leaf>) {
    match field.data_type() {
        DataType::Struct(members) => {
            for member in members {
                push_leaves(member, format!("{path}.{}", member.name()), leaves);
            }
        }
        DataType::List(element)
        | DataType::LargeList(element)
        | DataType::ListView(element)
        | DataType::LargeListView(element)
        | DataType::FixedSizeList(element, _)
        | DataType::Map(element, _) => push_leaves(element, path, leaves),
        data_type => leaves.push(Leaf {
            path,
            data_type: data_type.clone(),
        }),
    }
}
