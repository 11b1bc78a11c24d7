//! Servers of others, started for the tests: ministack, which enforces policies, over TLS; rclone.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The path of the `ministack` executable; `rclone` lies beside it.
const MINISTACK: &str = "DAYPORT_MINISTACK";

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
        let program = executable("ministack")?;
        let folder = TempDir::new().expect("a temporary folder");
        let port = free_port();
        let mut command = Command::new(program);
        command
            .env("AUTH", "true")
            .env("BIND_HOST", "127.0.0.1")
            .env("SERVICES", "s3,iam,sts,kms")
            .env("GATEWAY_PORT", port.to_string());
        if tls {
            certify(folder.path());
            command
                .env("USE_SSL", "1")
                .env("MINISTACK_SSL_CERT", folder.path().join("server.pem"))
                .env("MINISTACK_SSL_KEY", folder.path().join("server.key"));
        }
        Some(Server::start(command, port, folder))
    }

    /// `rclone serve s3`, which ignores `If-None-Match`.
    pub(super) fn rclone() -> Option<Server> {
        let program = executable("rclone")?;
        let folder = TempDir::new().expect("a temporary folder");
        std::fs::create_dir_all(folder.path().join("data/exports")).expect("make a folder");
        let port = free_port();
        let mut command = Command::new(program);
        command
            .args(["serve", "s3", "--auth-key", "key,secret", "--addr"])
            .arg(format!("127.0.0.1:{port}"))
            .arg(folder.path().join("data"));
        Some(Server::start(command, port, folder))
    }

    fn start(mut command: Command, port: u16, folder: TempDir) -> Server {
        let log = File::create(folder.path().join("log")).expect("a log");
        let copy = log.try_clone().expect("a second handle");
        command
            .env("HOME", folder.path())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(copy);
        let child = command.spawn().expect("start a server");
        let server = Server {
            child,
            port,
            folder,
        };
        server.wait_until_it_listens();
        server
    }

    fn wait_until_it_listens(&self) {
        let started = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            let log = || std::fs::read_to_string(self.folder.path().join("log"));
            let limit = Duration::from_secs(120);
            assert!(started.elapsed() < limit, "it does not start:\n{:?}", log());
            std::thread::yield_now();
        }
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

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind to loopback");
    listener.local_addr().expect("an address").port()
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
