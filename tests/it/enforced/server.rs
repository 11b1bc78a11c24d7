//! S3 servers of other projects: ministack, which enforces policies, with TLS; and rclone.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use tempfile::TempDir;

/// The variable with the path of the `ministack` executable; `python` and `rclone` are beside it.
const MINISTACK: &str = "DAYPORT_MINISTACK";

/// The timeout of a response on a slow machine, including the first one.
pub(super) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(120);

const LOG: &str = "log";

/// A server process that is killed when dropped.
pub(super) struct Server {
    child: Child,
    port: u16,
    folder: TempDir,
}

/// Returns the path of an executable; prints a message if it is not installed.
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
    /// Starts ministack with enforced policies, optionally over TLS with a certificate made for it.
    pub(super) fn ministack(tls: bool) -> Option<Server> {
        executable("ministack")?;
        let python = executable("python")?;
        let folder = TempDir::new().expect("a temporary folder");
        let (listener, port) = listen();
        let mut command = Command::new(python);
        // Not by `ministack` itself, which closes its port for a moment if another process has bound
        // port 443 before.
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

    /// Starts `rclone serve s3`, which ignores `If-None-Match`.
    pub(super) fn rclone() -> Option<Server> {
        let program = executable("rclone")?;
        let folder = TempDir::new().expect("a temporary folder");
        std::fs::create_dir_all(folder.path().join("data/exports")).expect("make a folder");
        let (listener, port) = listen();
        let mut command = Command::new("sh");
        // The variables of systemd's socket activation.
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
        if let Err(error) = server.responds_to_unsigned() {
            panic!("it does not start: {error}\n{}", server.exit_report());
        }
        Some(server)
    }

    /// Starts a server with its listening socket as stdin: no other process can bind the port, and
    /// connections queue until the server accepts them.
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

    fn responds_to_unsigned(&self) -> std::io::Result<()> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(RESPONSE_TIMEOUT))?;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")?;
        stream.read_exact(&mut [0; 12])
    }

    /// Returns the exit status, if the server has exited, and its output.
    pub(super) fn exit_report(&mut self) -> String {
        let status = self.child.try_wait().expect("a child process");
        let log = std::fs::read_to_string(self.folder.path().join(LOG)).expect("a log");
        format!("exit status: {status:?}\n{log}")
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Returns the path of the certificate of the authority that signed the server's certificate.
    pub(super) fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The process may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Opens a socket that listens on a free port of 127.0.0.1.
fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind to loopback");
    let port = listener.local_addr().expect("an address").port();
    (listener, port)
}

/// Creates an authority, and a certificate for 127.0.0.1 that it has signed.
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
