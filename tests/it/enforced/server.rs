//! Servers of others, started for the tests: ministack, which enforces policies, over TLS; rclone.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use tempfile::TempDir;

/// The path of the `ministack` executable; `python` and `rclone` lie beside it.
const MINISTACK: &str = "DAYPORT_MINISTACK";

/// How long an answer may take on a slow machine, the first one included.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

const LOG: &str = "log";

/// A server that ends when it is dropped.
pub(super) struct Server {
    child: Child,
    port: u16,
    folder: TempDir,
}

/// Where `name` is; `None`, and a word about it, where it is not installed.
pub(super) fn executable(name: &str) -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "a test's own switch")]
    let ministack = std::env::var_os(MINISTACK);
    let Some(ministack) = ministack else {
        eprintln!("skipped: {MINISTACK} does not name a `ministack` (see .ci/run)");
        return None;
    };
    let path = Path::new(&ministack).with_file_name(name);
    assert!(path.is_file(), "no `{}`", path.display());
    Some(path)
}

impl Server {
    /// With policies enforced, over TLS under a certificate of its own, or without.
    pub(super) fn ministack(tls: bool) -> Option<Server> {
        executable("ministack")?;
        let python = executable("python")?;
        let folder = TempDir::new().expect("a temporary folder");
        let (listener, port) = listen();
        let mut command = Command::new(python);
        // Not by `ministack` itself: that one closes its port for a moment if another one beside
        // it is first to take port 443, too.
        command
            .args(["-m", "hypercorn", "ministack.app:app", "--bind", "fd://0"])
            .args(["--workers", "0", "--keep-alive", "75"])
            .env("AUTH", "true")
            .env("SERVICES", "s3,iam,sts,kms")
            .env("GATEWAY_PORT", port.to_string())
            .stdin(OwnedFd::from(listener));
        if tls {
            certify(folder.path());
            command.args(["--certfile", "server.pem", "--keyfile", "server.key"]);
        }
        Some(Server::start(command, port, folder))
    }

    /// `rclone serve s3`, which ignores `If-None-Match`.
    pub(super) fn rclone() -> Option<Server> {
        let program = executable("rclone")?;
        let folder = TempDir::new().expect("a temporary folder");
        std::fs::create_dir_all(folder.path().join("data/exports")).expect("make a folder");
        let (listener, port) = listen();
        let mut command = Command::new("sh");
        // As systemd hands over a socket.
        command
            .args([
                "-c",
                "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\" 3<&0 </dev/null",
            ])
            .arg("sh")
            .arg(program)
            .args(["serve", "s3", "--auth-key", "key,secret"])
            .arg(folder.path().join("data"))
            .stdin(OwnedFd::from(listener));
        let mut server = Server::start(command, port, folder);
        if let Err(error) = server.answers_unsigned() {
            panic!("it does not start: {error}\n{}", server.obituary());
        }
        Some(server)
    }

    /// Its listening socket is its stdin. So its port cannot become another's before it takes it,
    /// and calls wait in the socket until it does.
    fn start(mut command: Command, port: u16, folder: TempDir) -> Server {
        let log = File::create(folder.path().join(LOG)).expect("a log");
        let copy = log.try_clone().expect("a second handle");
        command
            .env("HOME", folder.path())
            .current_dir(folder.path())
            .stdout(log)
            .stderr(copy);
        let child = command.spawn().expect("start a server");
        Server {
            child,
            port,
            folder,
        }
    }

    fn answers_unsigned(&self) -> std::io::Result<()> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")?;
        stream.read_exact(&mut [0; 12])
    }

    /// Whether it has ended, and what it said.
    pub(super) fn obituary(&mut self) -> String {
        let ended = self.child.try_wait().expect("ask for a child");
        let log = std::fs::read_to_string(self.folder.path().join(LOG)).expect("a log");
        format!("ended: {ended:?}\n{log}")
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The certificate of the authority that signed the server's.
    pub(super) fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A socket that listens on a free port of 127.0.0.1.
fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind to loopback");
    let port = listener.local_addr().expect("an address").port();
    (listener, port)
}

/// An authority, and a certificate for 127.0.0.1 that it signed.
fn certify(folder: &Path) {
    let extensions = "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n";
    std::fs::write(folder.join("extensions"), extensions).expect("write a file");
    let make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority \
         -keyout ca.key -out ca.pem -addext basicConstraints=critical,CA:TRUE && \
         openssl req -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -keyout server.key -out server.csr && \
         openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
         -extfile extensions -out server.pem";
    let output = Command::new("sh")
        .args(["-c", make])
        .current_dir(folder)
        .output()
        .expect("run openssl");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
