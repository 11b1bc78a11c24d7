//! `dayport query` without SQL: a shell on a terminal, statements from a pipe.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{CommandOutput, SECOND_DAY, Sandbox, TestDestination};
use crate::world::world;

/// The timeout of every wait; a test that reaches it has failed.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A child process on a pseudo-terminal.
struct Terminal {
    child: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    /// The printed text that no expectation has consumed yet.
    text: String,
}

impl Terminal {
    fn open(sandbox: &Sandbox, args: &[&str]) -> Terminal {
        let size = Winsize {
            ws_row: 50,
            ws_col: 200,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pair = openpty(&size, None).expect("a pseudo-terminal");
        let slave = || Stdio::from(pair.slave.try_clone().expect("a descriptor"));
        let child = sandbox
            .command(args)
            .env("TERM", "xterm")
            .stdin(slave())
            .stdout(slave())
            .stderr(slave())
            .spawn()
            .expect("start dayport");
        let keyboard = File::from(pair.master);
        let mut master = keyboard.try_clone().expect("a descriptor");
        let (sender, screen) = mpsc::channel();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            // On Linux, the end of the terminal is an error.
            while let Ok(length @ 1..) = master.read(&mut bytes) {
                if sender.send(bytes[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Terminal {
            child,
            keyboard,
            screen,
            text: String::new(),
        }
    }

    fn types(&mut self, keys: &str) {
        self.keyboard
            .write_all(keys.as_bytes())
            .expect("a terminal");
    }

    /// Waits until this text is printed, and discards everything up to it.
    #[track_caller]
    fn shows(&mut self, expected: &str) {
        while !self.has(expected) {
            match self.screen.recv_timeout(TIMEOUT) {
                Ok(bytes) => self.text += &String::from_utf8_lossy(&bytes),
                Err(error) => panic!("no `{expected}` ({error}) in\n{}", self.text),
            }
        }
    }

    fn has(&mut self, expected: &str) -> bool {
        let Some(at) = self.text.find(expected) else {
            return false;
        };
        self.text.drain(..at + expected.len());
        true
    }

    /// Presses Ctrl-C outside of the line editor, where the terminal driver sends SIGINT.
    #[track_caller]
    fn interrupted_until(&mut self, expected: &str) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"));
        loop {
            kill(pid, Signal::SIGINT).expect("a process");
            match self.screen.recv_timeout(Duration::from_millis(20)) {
                Ok(bytes) => self.text += &String::from_utf8_lossy(&bytes),
                Err(RecvTimeoutError::Timeout) => {}
                Err(error) => panic!("no `{expected}` ({error}) in\n{}", self.text),
            }
            if self.has(expected) {
                return;
            }
        }
    }

    fn ends(&mut self) -> ExitStatus {
        self.child.wait().expect("an end")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The process has exited, unless an assertion failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const PROMPT: &str = "dayport> ";

#[test]
fn a_terminal_gets_a_shell() {
    let sandbox = Sandbox::fixtures(TestDestination::s3());
    sandbox
        .run(&["--date", SECOND_DAY, "aliases", "domains"])
        .succeeded();
    let to = sandbox.destination.url();
    let args = ["query", "--from", "raw", "--to", &to, "--date", SECOND_DAY];
    let mut terminal = Terminal::open(&sandbox, &args);
    terminal.shows(PROMPT);

    // A statement of three lines, with a semicolon in a string.
    terminal.types("SELECT count(*) AS rows\nFROM exported.domains\nWHERE domain <> ';';\n");
    terminal.shows("| rows |");
    terminal.shows("| 11   |");
    terminal.shows(PROMPT);
    terminal.types("SELECT 1 AS one; SELECT 2 AS two;\n");
    terminal.shows("| one |");
    terminal.shows("| two |");
    terminal.shows(PROMPT);

    terminal.types("\\d\n");
    terminal.shows("source      events");
    terminal.shows("Raw events of every workspace");
    terminal.shows("definition  definition.domains");
    terminal.shows("definition  pageview_events");
    terminal.shows("exported    exported.aliases");
    terminal.shows(PROMPT);
    terminal.types("\\d domains\n");
    terminal.shows("source domains\r\n-- Domains that events came from");
    terminal.shows("  domain        VARCHAR NOT NULL");
    terminal.shows("definition definition.domains");
    terminal.shows("exported exported.domains");
    terminal.shows(PROMPT);
    terminal.types("\\d nowhere\n");
    terminal.shows("error: there is no table `nowhere`");
    terminal.shows(PROMPT);
    terminal.types("\\?\n");
    terminal.shows("the columns of a table");
    terminal.shows(PROMPT);

    terminal.types("EXPLAIN ANALYZE SELECT count(*) FROM cohorts;\n");
    terminal.shows("Plan with Metrics");
    terminal.shows(PROMPT);
    terminal.types("SELECT nme FROM cohorts;\n");
    terminal.shows("error: ");
    terminal.shows("No field named nme");
    terminal.shows(PROMPT);

    // Completes the name of the only matching column and of the only matching table.
    terminal.types("SELECT worksp\t FROM coh\t LIMIT 0;\n");
    terminal.shows("| workspace_id |");
    terminal.shows(PROMPT);
    terminal.types("\\q\n");
    assert!(terminal.ends().success());
    assert_eq!(sandbox.destination.leftovers(), Vec::<String>::new());
}

/// Nested types are shown as SQL declares them, a field a line.
#[test]
fn nested_columns_are_described() {
    let sandbox = Sandbox::empty(TestDestination::local());
    sandbox.write(
        "sql/sources/events.sql",
        "CREATE EXTERNAL TABLE events (
           id BIGINT NOT NULL,
           p STRUCT<client STRUCT<title VARCHAR, \"readTime\" DOUBLE>, labels STRUCT<l VARCHAR>[]>,
           tags VARCHAR[]
         ) STORED AS JSON LOCATION 'events/'",
    );
    let mut terminal = Terminal::open(&sandbox, &["query", "--from", "raw"]);
    terminal.shows(PROMPT);
    terminal.types("\\d events\n");
    let lines = [
        "source events",
        "  id    BIGINT NOT NULL",
        "  p     STRUCT<",
        "    client  STRUCT<",
        "      title       VARCHAR,",
        "      \"readTime\"  DOUBLE",
        "    >,",
        "    labels  STRUCT<",
        "      l  VARCHAR",
        "    >[]",
        "  >",
        "  tags  VARCHAR[]",
    ];
    terminal.shows(&lines.join("\r\n"));
    terminal.shows(PROMPT);
    terminal.types("\\q\n");
    assert!(terminal.ends().success());
}

#[test]
fn rows_are_expanded_to_a_line_for_each_column() {
    let sandbox = Sandbox::empty(TestDestination::local());
    let mut terminal = Terminal::open(&sandbox, &["query"]);
    terminal.shows(PROMPT);
    let one = "SELECT 1 AS a, NULL AS nothing, '' AS empty;\n";
    let record = "-[ RECORD 1 ]-\r\na       | 1\r\nnothing | NULL\r\nempty   |\r\n";
    terminal.types("\\x\n");
    terminal.shows("Expanded display is on.");
    terminal.shows(PROMPT);
    terminal.types(one);
    terminal.shows(record);
    terminal.shows(PROMPT);
    terminal.types("\\x\n");
    terminal.shows("Expanded display is off.");
    terminal.shows(PROMPT);
    terminal.types(one);
    terminal.shows("| 1 | NULL    |       |");
    terminal.shows(PROMPT);

    // The terminal has 200 columns.
    terminal.types("\\x auto\n");
    terminal.shows("Expanded display is used automatically.");
    terminal.shows(PROMPT);
    terminal.types("SELECT repeat('n', 180) AS narrow;\n");
    terminal.shows("| narrow ");
    terminal.shows(PROMPT);
    terminal.types("SELECT repeat('w', 220) AS wide;\n");
    terminal.shows("-[ RECORD 1 ]-");
    terminal.shows(PROMPT);
    terminal.types("\\x off\n");
    terminal.shows("Expanded display is off.");
    terminal.shows(PROMPT);
    terminal.types("\\x maybe\n");
    terminal.shows("error: `maybe` is no mode of \\x");
    terminal.shows("hint: the modes are on, off and auto");
    terminal.shows(PROMPT);
    terminal.types("\\q\n");
    assert!(terminal.ends().success());

    let mut terminal = Terminal::open(&sandbox, &["query", "--output", "json"]);
    terminal.shows(PROMPT);
    terminal.types("\\x\n");
    terminal.shows("error: \\x is for --output table");
    terminal.shows(PROMPT);
    terminal.types("\\q\n");
    assert!(terminal.ends().success());
}

/// A receiver may stand in a folder whose definitions need more than he has.
#[test]
fn the_shell_says_why_there_are_no_sources() {
    let sandbox = world(TestDestination::local());
    let mut terminal = Terminal::open(&sandbox, &["query"]);
    terminal.shows("note: there are neither sources nor definitions: sql/sources/sites.sql:");
    terminal.shows(PROMPT);
    terminal.types("SELECT count(*) FROM sites;\n");
    terminal.shows("is relative");
    terminal.shows("hint: give `--from`");
    terminal.shows(PROMPT);
    terminal.types("SELECT 40 + 2 AS answer;\n");
    terminal.shows("| 42     |");
    terminal.types("\\q\n");
    assert!(terminal.ends().success());
}

#[test]
fn ctrl_c_stops_the_query_and_ctrl_d_ends_the_shell() {
    let sandbox = world(TestDestination::local());
    let args = ["query", "--from", "raw"];
    let mut terminal = Terminal::open(&sandbox, &args);
    terminal.shows(PROMPT);
    let endless = "SELECT sum(value % 7) AS endless FROM generate_series(1, 1000000000000000);\n";
    terminal.types(endless);
    terminal.interrupted_until("stopped");
    terminal.shows(PROMPT);
    // In the line editor, Ctrl-C discards the line.
    terminal.types("SELECT wrong\x03");
    terminal.shows("wrong");
    terminal.shows(PROMPT);
    terminal.types("SELECT 40 + 2 AS answer;\n");
    terminal.shows("| 42     |");
    terminal.shows(PROMPT);
    terminal.types("\x04");
    assert!(terminal.ends().success());
}

#[test]
fn the_shell_keeps_its_history() {
    let mut sandbox = world(TestDestination::local());
    let args = ["query", "--from", "raw"];
    for (state, file) in [
        (None, ".local/state/dayport/history"),
        (Some("state"), "state/dayport/history"),
    ] {
        if let Some(state) = state {
            let state = sandbox.folder().join(state).display().to_string();
            sandbox.set_env("XDG_STATE_HOME", &state);
        }
        let mut terminal = Terminal::open(&sandbox, &args);
        terminal.shows(PROMPT);
        terminal.types("SELECT 40\n+ 2 AS answer;\n");
        terminal.shows("| 42     |");
        terminal.shows(PROMPT);
        terminal.types("\x04");
        assert!(terminal.ends().success());
        assert!(sandbox.folder().join(file).exists(), "{file}");

        // The up arrow recalls the statement.
        let mut terminal = Terminal::open(&sandbox, &args);
        terminal.shows(PROMPT);
        terminal.types("\x1b[A\n");
        terminal.shows("| 42     |");
        terminal.shows(PROMPT);
        terminal.types("\\q\n");
        assert!(terminal.ends().success());
    }
}

/// Runs `dayport query --from raw` with this text on stdin.
fn piped(sandbox: &Sandbox, text: &str, args: &[&str]) -> CommandOutput {
    sandbox.write("input.sql", text.to_owned());
    let input = File::open(sandbox.folder().join("input.sql")).expect("a file");
    let args = [&["query", "--from", "raw"], args].concat();
    let output = sandbox.command(&args).stdin(input).output();
    CommandOutput::new(&args, output.expect("start dayport"))
}

#[test]
fn a_pipe_is_read_to_its_end() {
    let sandbox = world(TestDestination::local());
    let csv = ["--output", "csv"];
    let two = "-- Two; and a half.\nSELECT 1 AS a;\nSELECT ';' AS b -- the last;";
    let output = piped(&sandbox, two, &csv).succeeded();
    assert_eq!(output.stdout, "a\n1\nb\n;\n");
    // The first failing statement ends the query.
    let output = piped(&sandbox, "SELECT 1 AS a; SELEC 2; SELECT 3", &csv).exited_with(2);
    assert_eq!(output.stdout, "a\n1\n");
    for nothing in ["", " ; -- nothing\n"] {
        let output = piped(&sandbox, nothing, &csv).exited_with(2);
        output.stderr_has("there is no SQL").hint_has("--help");
    }
    piped(&sandbox, "SELECT 'open", &csv).exited_with(2);
}
