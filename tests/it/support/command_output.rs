//! The exit code and the output of a child process.

use std::process::Output;

use serde_json::Value;

/// The result of a command that has exited. A failed assertion prints all of it.
pub(crate) struct CommandOutput {
    /// The arguments, without the program.
    pub(crate) args: Vec<String>,
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl CommandOutput {
    pub(crate) fn new(args: &[&str], output: Output) -> CommandOutput {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        CommandOutput {
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            code: output.status.code().expect("an exit code"),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn exited_with(self, code: i32) -> CommandOutput {
        assert_eq!(self.code, code, "exit code of\n{self}");
        self
    }

    /// Asserts exit code 0 and nothing on stderr.
    #[track_caller]
    pub(crate) fn succeeded(self) -> CommandOutput {
        let output = self.exited_with(0);
        assert_eq!(output.stderr, "", "stderr of\n{output}");
        output
    }

    /// Asserts that stdout contains `text`.
    #[track_caller]
    pub(crate) fn stdout_has(self, text: &str) -> CommandOutput {
        assert!(
            self.stdout.contains(text),
            "no `{text}` on stdout of\n{self}"
        );
        self
    }

    /// Asserts that stderr contains `text`.
    #[track_caller]
    pub(crate) fn stderr_has(self, text: &str) -> CommandOutput {
        assert!(
            self.stderr.contains(text),
            "no `{text}` on stderr of\n{self}"
        );
        self
    }

    /// Asserts that stderr has a `hint:` line that contains `text`.
    #[track_caller]
    pub(crate) fn hint_has(self, text: &str) -> CommandOutput {
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

    /// Parses the report of `run --output json`.
    #[track_caller]
    pub(crate) fn report(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in\n{self}"))
    }

    /// Returns table, cycle and result of each line of the report of `run --output json`.
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

impl std::fmt::Display for CommandOutput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "$ dayport {}", self.args.join(" "))?;
        writeln!(f, "exit code: {}", self.code)?;
        writeln!(f, "----- stdout -----\n{}", self.stdout)?;
        write!(f, "----- stderr -----\n{}", self.stderr)
    }
}
