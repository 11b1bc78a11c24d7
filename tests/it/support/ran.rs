//! What a child process came to.

use serde_json::Value;

/// A command that has ended. Its assertions print all of it.
pub(crate) struct Ran {
    /// Without the program.
    pub(crate) args: Vec<String>,
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    #[track_caller]
    pub(crate) fn ended(self, code: i32) -> Ran {
        assert_eq!(self.code, code, "exit code of\n{self}");
        self
    }

    #[track_caller]
    pub(crate) fn succeeded(self) -> Ran {
        let ran = self.ended(0);
        assert_eq!(ran.stderr, "", "stderr of\n{ran}");
        ran
    }

    /// That stdout has this text.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Ran {
        assert!(
            self.stdout.contains(text),
            "no `{text}` on stdout of\n{self}"
        );
        self
    }

    /// That stderr has this text.
    #[track_caller]
    pub(crate) fn complains(self, text: &str) -> Ran {
        assert!(
            self.stderr.contains(text),
            "no `{text}` on stderr of\n{self}"
        );
        self
    }

    /// That stderr has a line of advice with this text.
    #[track_caller]
    pub(crate) fn hints(self, text: &str) -> Ran {
        let mut hints = self
            .stderr
            .lines()
            .filter(|line| line.starts_with("hint: "));
        assert!(
            hints.any(|hint| hint.contains(text)),
            "no hint with `{text}` on stderr of\n{self}"
        );
        self
    }

    /// The report of `run --output json`.
    #[track_caller]
    pub(crate) fn report(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in\n{self}"))
    }

    /// Table, cycle and result of each line of the report of `run --output json`.
    #[track_caller]
    pub(crate) fn results(&self) -> Vec<String> {
        let report = self.report();
        let tables = report["tables"].as_array().expect("a list of tables");
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let line = |table: &Value| {
            let name = text(&table["table"]);
            format!(
                "{name} {} {}",
                text(&table["cycle"]),
                text(&table["result"])
            )
        };
        tables.iter().map(line).collect()
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "$ dayport {}", self.args.join(" "))?;
        writeln!(f, "exit code: {}", self.code)?;
        writeln!(f, "----- stdout -----\n{}", self.stdout)?;
        write!(f, "----- stderr -----\n{}", self.stderr)
    }
}
