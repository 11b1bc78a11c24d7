//! `dayport serve`: scheduled runs, metrics, health, events, and a graceful shutdown.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc;

use serde_json::Value;

use crate::s3::{Action, Failure, Fault, Operation};
use crate::support::{Sandbox, TestDestination, check_published, for_each_destination};
use crate::world::{set_views, view, world};

for_each_destination!(
    due_cycles_are_published_and_notified,
    failures_are_notified_once_and_retried,
);

/// A `dayport serve` process whose log is read line by line.
struct Serving {
    child: Child,
    log: BufReader<ChildStderr>,
    address: String,
    /// The part of the log that was read so far.
    log_text: String,
}

impl Serving {
    fn start(sandbox: &Sandbox, args: &[&str]) -> Serving {
        let to = sandbox.destination.url();
        let fixed = [
            "serve",
            "--from",
            "raw",
            "--to",
            &to,
            "--listen",
            "127.0.0.1:0",
            "--log-format",
            "json",
        ];
        let mut child = sandbox
            .command(&[&fixed, args].concat())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start dayport");
        let log = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut serving = Serving {
            child,
            log,
            address: String::new(),
            log_text: String::new(),
        };
        let listening = serving.wait_for("listening");
        let address = listening["address"].as_str().expect("an address");
        serving.address = address.trim_start_matches("http://").to_owned();
        serving
    }

    /// Reads the log up to the next line with this message, and returns the line.
    fn wait_for(&mut self, message: &str) -> Value {
        loop {
            let mut line = String::new();
            let read = self.log.read_line(&mut line).expect("UTF-8");
            assert!(read > 0, "no `{message}` in\n{}", self.log_text);
            self.log_text.push_str(&line);
            let event: Value = serde_json::from_str(&line).unwrap_or_default();
            if event["message"] == message {
                return event;
            }
        }
    }

    /// Sends a GET request, and returns the status line and the body.
    fn get(&self, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(&self.address).expect("connect");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream
            .write_all(request.as_bytes())
            .expect("send a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.lines().next().unwrap_or_default();
        (status.to_owned(), body.to_owned())
    }

    fn metric(&self, name: &str) -> Option<f64> {
        let (_, text) = self.get("/metrics");
        let line = text
            .lines()
            .find(|line| line.split(' ').next() == Some(name))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    /// Sends SIGTERM, and returns the exit code and the log.
    fn stop(mut self) -> (Option<i32>, String) {
        self.terminate();
        let status = self.child.wait().expect("an end");
        self.log.read_to_string(&mut self.log_text).expect("UTF-8");
        (status.code(), std::mem::take(&mut self.log_text))
    }

    fn terminate(&self) {
        let killed = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        assert!(killed.expect("run kill").success());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // The process may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An HTTP server that receives events; it responds to the first request with 503.
struct Receiver {
    url: String,
    events: mpsc::Receiver<Value>,
}

impl Receiver {
    fn start() -> Receiver {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind to loopback");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let (sender, events) = mpsc::channel();
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let mut stream = stream.expect("a connection");
                let event = read_event(&stream);
                let status = if number == 0 { "503 Busy" } else { "204 Taken" };
                let answer =
                    format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                stream.write_all(answer.as_bytes()).expect("answer");
                if number > 0 && sender.send(event).is_err() {
                    return;
                }
            }
        });
        Receiver { url, events }
    }

    fn next(&self) -> Value {
        let limit = std::time::Duration::from_secs(120);
        self.events.recv_timeout(limit).expect("an event")
    }
}

fn read_event(stream: &TcpStream) -> Value {
    let mut reader = BufReader::new(stream);
    let (mut length, mut kind) = (0, String::new());
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a header");
        let header = line.trim().to_ascii_lowercase();
        match header.split_once(": ") {
            Some(("content-length", value)) => length = value.parse().expect("a length"),
            Some(("content-type", value)) => value.clone_into(&mut kind),
            _ if header.is_empty() => break,
            _ => {}
        }
    }
    assert_eq!(kind, "application/cloudevents+json; charset=utf-8");
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    serde_json::from_slice(&body).expect("JSON")
}

fn due_cycles_are_published_and_notified(destination: TestDestination) {
    let sandbox = world(destination);
    sandbox.run(&["--date", "2026-01-14"]).succeeded();
    let receiver = Receiver::start();
    let mut serving = Serving::start(&sandbox, &["--at", "03:00", "--notify", &receiver.url]);
    let waiting = serving.wait_for("waiting for the next round");
    assert_eq!(waiting["succeeded"], true);
    assert_eq!(waiting["next"], "2026-01-18T03:00:00Z");
    let mut subjects: Vec<String> = (0..3)
        .map(|_| {
            let event = receiver.next();
            assert_eq!(
                (&event["type"], &event["specversion"]),
                (&"dayport.cycle.published".into(), &"1.0".into())
            );
            event["subject"].as_str().expect("a subject").to_owned()
        })
        .collect();
    subjects.sort();
    assert_eq!(
        subjects,
        ["sites/2026-01-16", "views/2026-01-15", "views/2026-01-16"]
    );

    assert_eq!(
        serving.metric("dayport_rows_total{table=\"views\"}"),
        Some(2.0)
    );
    assert_eq!(
        serving.metric("dayport_files_total{table=\"sites\"}"),
        Some(1.0)
    );
    assert_eq!(
        serving.metric("dayport_overdue_seconds{table=\"views\"}"),
        Some(0.0)
    );
    assert_eq!(
        serving.metric("dayport_failures_total{table=\"views\"}"),
        Some(0.0)
    );
    let committed = serving.metric("dayport_last_success_timestamp_seconds{table=\"views\"}");
    assert_eq!(committed, Some(1_768_618_800.0));
    assert!(
        serving
            .get("/metrics")
            .1
            .contains("dayport_build_info{version=")
    );
    for (path, status) in [
        ("/healthz", "HTTP/1.1 200 OK"),
        ("/readyz", "HTTP/1.1 200 OK"),
        ("/nothing", "HTTP/1.1 404 Not Found"),
    ] {
        assert_eq!(serving.get(path).0, status, "{path}");
    }
    let (_, page) = serving.get("/");
    assert!(page.contains("views 2026-01-15: 1 row,"), "{page}");
    let (code, log) = serving.stop();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("\"message\":\"stopped\""), "{log}");
    check_published(&sandbox.destination);
}

fn failures_are_notified_once_and_retried(destination: TestDestination) {
    let mut sandbox = world(destination);
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
    sandbox.write("raw/views/date=2026-01-16/views.json", "not JSON\n");
    // The clock is eight hours after the run was due.
    sandbox.set_clock("2026-01-17T11:00:00Z");
    let receiver = Receiver::start();
    let args = [
        "--every",
        "1h",
        "--backoff",
        "50ms",
        "--notify",
        &receiver.url,
        "--late-after",
        "2h",
    ];
    let mut serving = Serving::start(&sandbox, &[&args[..], &["views"]].concat());
    assert_eq!(
        serving.wait_for("waiting for the next round")["succeeded"],
        false
    );
    assert_eq!(serving.get("/readyz").0, "HTTP/1.1 503 Service Unavailable");
    serving.wait_for("waiting for the next round");
    let kinds = [receiver.next(), receiver.next()].map(|event| event["type"].clone());
    assert_eq!(kinds, ["dayport.cycle.failed", "dayport.cycle.late"]);
    assert_eq!(
        serving.metric("dayport_overdue_seconds{table=\"views\"}"),
        Some(39_600.0)
    );
    let (_, page) = serving.get("/");
    assert!(page.contains("malformed"), "{page}");

    set_views(&sandbox, 16, &[view(16, 16)]);
    while serving.wait_for("waiting for the next round")["succeeded"] != true {}
    let event = receiver.next();
    assert_eq!(event["type"], "dayport.cycle.published");
    assert_eq!(event["subject"], "views/2026-01-16");
    assert_eq!(serving.get("/readyz").0, "HTTP/1.1 200 OK");
    assert!(serving.metric("dayport_retries_total") >= Some(2.0));
    assert_eq!(serving.stop().0, Some(0));
    check_published(&sandbox.destination);
}

/// Returns the lines of a log above the level of information, by their messages.
fn complaints(log: &str) -> Vec<String> {
    let events = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_default());
    let loud = events.filter(|event: &Value| {
        let level = event["level"].as_str().unwrap_or_default();
        matches!(level, "WARN" | "ERROR")
    });
    loud.map(|event| event["message"].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// A new table fails from its first cycle on: nothing of it is at the destination.
#[test]
fn a_table_that_was_never_published_is_seen() {
    let mut sandbox = world(TestDestination::local());
    sandbox.run(&["--date", "2026-01-16", "sites"]).succeeded();
    sandbox.write(
        "raw/views/date=2026-01-16/views.json",
        "not JSON\nnot JSON\n",
    );
    sandbox.set_clock("2026-01-17T11:00:00Z");
    let receiver = Receiver::start();
    let args = [
        "--notify",
        &receiver.url,
        "--late-after",
        "6h",
        "--backoff",
        "1h",
    ];
    let mut serving = Serving::start(&sandbox, &args);
    serving.wait_for("waiting for the next round");
    let failed = receiver.next();
    assert_eq!(failed["type"], "dayport.cycle.failed");
    let late = receiver.next();
    assert_eq!(
        (
            &late["type"],
            &late["subject"],
            &late["data"]["overdue_seconds"]
        ),
        (
            &"dayport.cycle.late".into(),
            &"views/2026-01-16".into(),
            &28_800.into()
        )
    );
    for (name, views, sites) in [
        ("last_success_timestamp_seconds", 0.0, 1_768_618_800.0),
        ("failures_total", 1.0, 0.0),
        ("cycles_published_total", 0.0, 0.0),
        ("overdue_seconds", 28_800.0, 0.0),
        ("missing_cycles", 1.0, 0.0),
        ("awaited_cycles", 0.0, 0.0),
    ] {
        for (table, value) in [("views", views), ("sites", sites)] {
            let metric = serving.metric(&format!("dayport_{name}{{table=\"{table}\"}}"));
            assert_eq!(metric, Some(value), "{name} of {table}");
        }
    }
    let cycle = |table: &str| {
        serving.metric(&format!(
            "dayport_overdue_cycle_timestamp_seconds{{table=\"{table}\"}}"
        ))
    };
    assert_eq!(
        (cycle("views"), cycle("sites")),
        (Some(1_768_521_600.0), None)
    );
    assert_eq!(serving.metric("dayport_failed_rounds_total"), Some(1.0));
    let (_, page) = serving.get("/");
    assert!(page.contains("never published"), "{page}");
    assert!(page.contains("views 2026-01-16: missing"), "{page}");
    assert_eq!(serving.stop().0, Some(0));
}

/// Each attempt that fails is one line of the log, and a failure of the store one line of its round.
#[test]
fn a_failure_is_logged_once() {
    let sandbox = world(TestDestination::s3());
    sandbox.run(&["--date", "2026-01-15"]).succeeded();
    sandbox.write(
        "raw/views/date=2026-01-16/views.json",
        "not JSON\nnot JSON\n",
    );
    let mut serving = Serving::start(&sandbox, &["--backoff", "1h", "--late-after", "9h", "-vv"]);
    serving.wait_for("waiting for the next round");
    let (code, log) = serving.stop();
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(complaints(&log), ["failed"], "{log}");
    assert_eq!(log.matches("has no good line").count(), 1, "{log}");
    let told = log.lines().find(|line| line.contains("has no good line"));
    let event: Value = serde_json::from_str(told.unwrap_or_default()).expect("JSON");
    assert_eq!(
        (&event["level"], &event["table"], &event["cycle"]),
        (&"WARN".into(), &"views".into(), &"2026-01-16".into())
    );
    assert!(
        event["run_id"].is_string() && event["hint"].is_string(),
        "{event}"
    );

    let server = sandbox.destination.server();
    let denied = Fault::on(
        Operation::ListObjects,
        Action::Before(Failure::AccessDenied),
    );
    server.inject(denied);
    let mut serving = Serving::start(&sandbox, &["--backoff", "1h"]);
    serving.wait_for("waiting for the next round");
    let (_, log) = serving.stop();
    assert_eq!(complaints(&log), ["the round failed"], "{log}");
}

/// Stops the server while files are staged: the uploads are aborted, and nothing is left.
#[test]
fn a_stop_aborts_staged_uploads() {
    let sandbox = world(TestDestination::s3());
    let server = sandbox.destination.server();
    let silent = Fault::on(Operation::UploadPart, Action::Before(Failure::Silence));
    server.inject(silent);
    let serving = Serving::start(&sandbox, &["--grace", "100s"]);
    // The uploads of both tables are in progress.
    let limit = std::time::Duration::from_secs(120);
    assert!(server.wait_for_faults(2, limit), "no upload");
    let (code, log) = serving.stop();
    assert_eq!(code, Some(0), "{log}");
    // A planned stop is nothing that anybody has to look at.
    assert_eq!(complaints(&log), Vec::<String>::new(), "{log}");
    assert_eq!(
        log.matches("\"message\":\"interrupted\"").count(),
        2,
        "{log}"
    );
    assert_eq!(sandbox.destination.keys(), Vec::<String>::new());
    assert_eq!(server.uploads(crate::support::BUCKET), []);
}

/// Two servers share a destination: each cycle is published by one of them.
#[test]
fn two_servers_publish_each_cycle_once() {
    let sandbox = world(TestDestination::s3());
    sandbox.run(&["--date", "2026-01-13"]).succeeded();
    let mut both = [(); 2].map(|()| Serving::start(&sandbox, &[]));
    for serving in &mut both {
        while serving.wait_for("waiting for the next round")["succeeded"] != true {}
    }
    let count = |name: &str| -> f64 {
        let each = both.iter().filter_map(|serving| serving.metric(name));
        each.sum()
    };
    assert_eq!(
        count("dayport_cycles_published_total{table=\"views\"}"),
        3.0
    );
    assert_eq!(
        count("dayport_cycles_published_total{table=\"sites\"}"),
        1.0
    );
    for serving in both {
        assert_eq!(serving.stop().0, Some(0));
    }
    check_published(&sandbox.destination);
}

/// A round takes as many cycles as it may, and says so; a cycle without source files is retried.
#[test]
fn a_long_catch_up_takes_rounds() {
    let sandbox = world(TestDestination::local());
    sandbox.run(&["--date", "2026-01-12", "views"]).succeeded();
    sandbox.remove("raw/views/date=2026-01-14/views.json");
    let args = [
        "--every",
        "24h",
        "--backoff",
        "50ms",
        "--max-catch-up",
        "2",
        "views",
    ];
    let mut serving = Serving::start(&sandbox, &args);
    let catching_up = serving.wait_for("catching up: the round takes some of the due cycles");
    assert_eq!(
        (&catching_up["due"], &catching_up["taken"]),
        (&4.into(), &2.into())
    );
    let waiting = serving.wait_for("waiting for the next round");
    assert_eq!(
        (&waiting["succeeded"], &waiting["awaited"]),
        (&true.into(), &1.into())
    );
    while serving.metric("dayport_cycles_published_total{table=\"views\"}") != Some(3.0) {
        serving.wait_for("waiting for the next round");
    }
    assert_eq!(
        serving.metric("dayport_awaited_cycles{table=\"views\"}"),
        Some(1.0)
    );
    assert_eq!(serving.get("/readyz").0, "HTTP/1.1 200 OK");
    let (_, page) = serving.get("/");
    assert!(page.contains("awaits views date=2026-01-14"), "{page}");

    set_views(&sandbox, 14, &[view(14, 14)]);
    while serving.wait_for("waiting for the next round")["awaited"] != 0 {}
    assert_eq!(
        serving.metric("dayport_awaited_cycles{table=\"views\"}"),
        Some(0.0)
    );
    assert_eq!(serving.stop().0, Some(0));
    check_published(&sandbox.destination);
}

/// Sets the limit of descriptors of a process. Returns false if there is no `prlimit`.
fn limit_descriptors(process: &Child, limit: &str) -> bool {
    let (pid, limit) = (process.id().to_string(), format!("--nofile={limit}"));
    let limited = Command::new("prlimit")
        .args(["--pid", &pid, &limit])
        .status();
    match limited {
        Ok(status) => {
            assert!(status.success(), "prlimit {limit}");
            true
        }
        Err(error) => {
            eprintln!("skipped: no prlimit: {error}");
            false
        }
    }
}

/// More clients than there are descriptors connect, and send nothing.
#[test]
fn clients_leave_descriptors_to_the_rounds() {
    let sandbox = world(TestDestination::local());
    sandbox.run(&["--date", "2026-01-15", "views"]).succeeded();
    sandbox.remove("raw/views/date=2026-01-16/views.json");
    let args = ["--every", "24h", "--backoff", "50ms", "views"];
    let mut serving = Serving::start(&sandbox, &args);
    if !limit_descriptors(&serving.child, "128:128") {
        return;
    }
    let connect = |_| TcpStream::connect(&serving.address).expect("connect");
    let idle: Vec<TcpStream> = (0..300).map(connect).collect();
    // A round that begins from here on.
    serving.wait_for("waiting for the next round");
    serving.wait_for("waiting for the next round");
    set_views(&sandbox, 16, &[view(16, 16)]);
    while serving.wait_for("waiting for the next round")["awaited"] != 0 {}
    drop(idle);
    assert_eq!(serving.get("/readyz").0, "HTTP/1.1 200 OK");
    let (code, log) = serving.stop();
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("\"succeeded\":false"), "{log}");
    check_published(&sandbox.destination);
}

/// The first free descriptor is above the limit: every accept fails.
#[test]
fn accepting_is_retried_when_there_are_descriptors() {
    let sandbox = world(TestDestination::local());
    let mut serving = Serving::start(&sandbox, &["--every", "24h", "views"]);
    serving.wait_for("waiting for the next round");
    if !limit_descriptors(&serving.child, "3:") {
        return;
    }
    let mut stream = TcpStream::connect(&serving.address).expect("connect");
    let request = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    stream
        .write_all(request.as_bytes())
        .expect("send a request");
    let failing =
        "connections cannot be accepted: metrics and status page do not respond; retrying";
    assert_eq!(serving.wait_for(failing)["level"], "WARN");
    // Long enough for several attempts.
    let limit = std::time::Duration::from_millis(500);
    stream.set_read_timeout(Some(limit)).expect("a timeout");
    let read = stream.read(&mut [0]);
    assert!(read.is_err(), "a response without a descriptor");

    limit_descriptors(&serving.child, "1024:");
    stream.set_read_timeout(None).expect("no timeout");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    serving.wait_for("connections are accepted again");
    let (code, log) = serving.stop();
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(log.matches(failing).count(), 1, "{log}");
}

#[test]
fn wrong_arguments_end_immediately() {
    let sandbox = world(TestDestination::local());
    let to = sandbox.destination.url();
    let serve = |args: &[&str]| {
        let fixed = [
            "serve",
            "--from",
            "raw",
            "--to",
            &to,
            "--listen",
            "127.0.0.1:0",
        ];
        sandbox.dayport(&[&fixed, args].concat()).exited_with(2)
    };
    serve(&["--at", "3am"]).hint_has("03:00");
    serve(&["--every", "0s"]);
    serve(&["--notify", "example.com"]).hint_has("CloudEvents");
    serve(&["--at", "03:00", "--every", "1h"]);
    sandbox.write("sql/views.sql", "COPY (SELECT idd FROM views");
    serve(&[]).stderr_has("sql/views.sql:1");
}
