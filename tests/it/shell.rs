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

use crate::support::{Place, Ran, SECOND_DAY, Sandbox};
use crate::world::world;

/// No answer takes as long; a test that waits for it has failed.
const LIMIT: Duration = Duration::from_secs(60);

/// The program on a pseudo-terminal.
struct Terminal {
    child: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    /// What was printed and not yet expected.
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
            // On Linux the end is an error.
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

    /// Waits until this is printed, and forgets everything up to it.
    #[track_caller]
    fn shows(&mut self, expected: &str) {
        while !self.has(expected) {
            match self.screen.recv_timeout(LIMIT) {
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

    /// Ctrl-C outside of the line editor: the terminal's driver sends this signal.
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
        // It has ended, unless an assertion failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const PROMPT: &str = "dayport> ";

#[test]
fn a_terminal_gets_a_shell() {
    let sandbox = Sandbox::fixtures(Place::s3());
    sandbox
        .run(&["--date", SECOND_DAY, "aliases", "domains"])
        .succeeded();
    let to = sandbox.place.url();
    let args = ["query", "--from", "raw", "--to", &to, "--date", SECOND_DAY];
    let mut terminal = Terminal::open(&sandbox, &args);
    terminal.shows(PROMPT);

    // Over three lines, and a semicolon that ends nothing.
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
    terminal.shows("  domain        Utf8View  NOT NULL");
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

    // One column begins like the first word, and one table like the second.
    terminal.types("SELECT worksp\t FROM coh\t LIMIT 0;\n");
    terminal.shows("| workspace_id |");
    terminal.shows(PROMPT);
    terminal.types("\\q\n");
    assert!(terminal.ends().success());
    assert_eq!(sandbox.place.leftovers(), Vec::<String>::new());
}

#[test]
fn ctrl_c_stops_the_query_and_ctrl_d_ends_the_shell() {
    let sandbox = world(Place::local());
    let args = ["query", "--from", "raw"];
    let mut terminal = Terminal::open(&sandbox, &args);
    terminal.shows(PROMPT);
    let endless = "SELECT sum(value % 7) AS endless FROM generate_series(1, 1000000000000000);\n";
    terminal.types(endless);
    terminal.interrupted_until("stopped");
    terminal.shows(PROMPT);
    // In the editor it drops what was typed.
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
fn the_shell_remembers() {
    let mut sandbox = world(Place::local());
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

        // Up, and once more.
        let mut terminal = Terminal::open(&sandbox, &args);
        terminal.shows(PROMPT);
        terminal.types("\x1b[A\n");
        terminal.shows("| 42     |");
        terminal.shows(PROMPT);
        terminal.types("\\q\n");
        assert!(terminal.ends().success());
    }
}

/// `dayport query --from raw` with this on stdin.
fn piped(sandbox: &Sandbox, text: &str, args: &[&str]) -> Ran {
    sandbox.write("input.sql", text.to_owned());
    let input = File::open(sandbox.folder().join("input.sql")).expect("a file");
    let args = [&["query", "--from", "raw"], args].concat();
    let output = sandbox.command(&args).stdin(input).output();
    let output = output.expect("start dayport");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Ran {
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        code: output.status.code().expect("an exit code"),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

#[test]
fn a_pipe_is_read_to_its_end() {
    let sandbox = world(Place::local());
    let csv = ["--output", "csv"];
    let two = "-- Two; and a half.\nSELECT 1 AS a;\nSELECT ';' AS b -- the last;";
    let ran = piped(&sandbox, two, &csv).succeeded();
    assert_eq!(ran.stdout, "a\n1\nb\n;\n");
    // The first that fails ends it.
    let ran = piped(&sandbox, "SELECT 1 AS a; SELEC 2; SELECT 3", &csv).ended(2);
    assert_eq!(ran.stdout, "a\n1\n");
    for nothing in ["", " ; -- nothing\n"] {
        let ran = piped(&sandbox, nothing, &csv).ended(2);
        ran.complains("there is no SQL").hints("--help");
    }
    piped(&sandbox, "SELECT 'open", &csv).ended(2);
}
